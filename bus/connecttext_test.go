package bus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// everyPrint prints a value in all the ways there are: by every verb that package
// fmt asks the value for, which are all but %p; as JSON; in both sorts of logs.
func everyPrint(t *testing.T, value any) string {
	t.Helper()
	var b strings.Builder
	for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
		for _, flag := range []string{"", "+", "#", "010."} {
			fmt.Fprintf(&b, "%"+flag+string(verb)+"\n", value)
		}
	}
	fmt.Fprintln(&b, value)
	if data, err := json.Marshal(value); err == nil {
		b.Write(data)
	}
	var log logBook
	log.logger().Info("x", "value", value)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
	return b.String() + log.String()
}

func TestConfigPrintsNoSecrets(t *testing.T) {
	cfg := bus.Config{
		URL: "nats://user:hunter2@a:1,hunter2@b,nats://u:p@ss@hunter2@c", User: "alice", Password: "hunter2", Token: "hunter2",
		Context: "prod", TLSFirst: true, APIPrefix: "p.API",
	}
	yaml, err := cfg.MarshalYAML()
	require.NoError(t, err)
	for _, value := range []any{
		cfg, &cfg, struct{ C bus.Config }{cfg}, []bus.Config{cfg}, map[string]bus.Config{"x": cfg}, cfg.LogValue(), cfg.Redacted(), yaml,
	} {
		text := everyPrint(t, value)
		require.False(t, strings.Contains(text, "hunter2"), "%T", value)
		require.Contains(t, text, "alice")
	}
	require.NotContains(t, cfg.String()+cfg.GoString(), "hunter2")
	require.Contains(t, fmt.Sprintf("%#v", cfg), "bus.Config{")
	require.Contains(t, cfg.String(), "context=prod")
	r := cfg.Redacted()
	require.Equal(t, "nats://xxxxx@a:1,xxxxx@b,nats://xxxxx@c", r.URL)
	require.Equal(t, "hunter2", cfg.Password, "the original is as it was")
	require.Empty(t, bus.Config{}.Redacted().Password)
	require.Equal(t, "nats://127.0.0.1:4222 name=ergon", bus.Config{}.String())
	require.Equal(t, "context=prod", bus.Config{Context: "prod"}.String(), "whose URL is not known yet")
}

// Nothing that a bus says, from the first connection over a refused one to the
// end, holds a secret, wherever the secret was given.
func TestBusPrintsNoSecrets(t *testing.T) {
	const secret = "hunter2"
	password := func(o *natsserver.Options) { o.Username, o.Password = "alice", secret }
	token := func(o *natsserver.Options) { o.Authorization = secret }
	for name, c := range map[string]struct {
		auth func(*natsserver.Options)
		cfg  func(host string) bus.Config
	}{
		"password": {password, func(host string) bus.Config {
			return bus.Config{URL: host, User: "alice", Password: secret}
		}},
		"token": {token, func(host string) bus.Config { return bus.Config{URL: host, Token: secret} }},
		"password in the URLs": {password, func(host string) bus.Config {
			return bus.Config{URL: "nats://alice:" + secret + "@" + host + ",nats://alice:" + secret + "@127.0.0.1:1"}
		}},
		"token in the URLs": {token, func(host string) bus.Config {
			return bus.Config{URL: "nats://" + secret + "@" + host + ", " + secret + "@127.0.0.1:1"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var options *natsserver.Options
			s := plainServer(t, func(o *natsserver.Options) {
				o.JetStream, options = true, o
				c.auth(o)
			})
			cfg := c.cfg(s.Addr().String())
			var log logBook
			b := connect(t, cfg, bus.WithLogger(log.logger()))
			require.Contains(t, b.Status().Server, s.Addr().String())
			texts := everyPrint(t, b.Status())

			changed := options.Clone()
			changed.Username, changed.Password, changed.Authorization = "alice", "another", ""
			require.NoError(t, s.ReloadOptions(changed))
			eventually(t, func() bool { return strings.Contains(log.String(), "refused") })
			texts += everyPrint(t, b.Status()) + errorTree(b.Status().LastError)
			_, err := bus.Connect(testContext(t), cfg, bus.WithLogger(log.logger()))
			require.Error(t, err)
			texts += everyPrint(t, err) + errorTree(err)

			s.Shutdown()
			s.WaitForShutdown()
			eventually(t, func() bool { return strings.Contains(log.String(), "not reached again yet") })
			cfg.ConnectTimeout = time.Millisecond
			_, err = bus.Connect(testContext(t), cfg, bus.WithLogger(log.logger()))
			require.Error(t, err)
			texts += everyPrint(t, err) + errorTree(err) + everyPrint(t, b.Status())
			ctx, cancel := closing()
			defer cancel()
			_ = b.Close(ctx)
			texts += fmt.Sprintf("%v %+v %#v", b, b, b)
			require.False(t, strings.Contains(texts, secret))
			require.NotContains(t, log.String(), secret)
		})
	}
}

// errorTree is the text of an error and of all below it.
func errorTree(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error() + "\n"
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			text += errorTree(e)
		}
	}
	return text + errorTree(errors.Unwrap(err))
}
