package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// Whatever is wrong with a file, and wherever, its errors show no secret.
func TestErrorsHideSecrets(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"bus: { password: hunter2, foo: 1 }",
		"bus: { foo: 1, password: hunter2 }",
		"bus: { \"password\": hunter2, foo: 1 }",
		"bus: { 'token' : 'hunter2', foo: 1 }",
		"bus: { password: [hunter2] }",
		"bus: { password: { hunter2: 1 } }",
		"bus: { password: hunter2, password: hunter2 }",
		"bus: { token: hunter2, creds: x }",
		"bus: { password: \"hunter2 ${NO}\" }",
		"bus: { password: \"hunter2 ${x!y}\" }",
		"bus: { password: ${NO:-${hunter2}} }",
		"bus: { pasword: hunter2 }",
		"bus: { passwrod: hunter2, foo: 1 }",
		"bus: { tokn: hunter2, foo: 1 }",
		"bus: { Password: hunter2 }",
		"bus: { pass: hunter2 }",
		"bus: { pwd: hunter2 }",
		"bus:\n  password: |\n    hunter2\n    @hunter2\n  foo: 1\n",
		"bus:\n  password: \"a\n    hunter2\n  hunter2\"\n  foo: [\n",
		"bus:\n  password: \"hunter2\n",
		"bus:\n  password: 'hunter2\n\nhunter2\n",
		"bus:\n  password:\n    - hunter2\n    - @\n",
		"bus:\n  password: hunter2\n\tfoo: 1\n",
		"bus:\n\tpassword: hunter2\n",
		"password: hunter2\n",
		"bus: nats://user:hunter2@host\n",
		"app: nats://user:hunter2@host\n",
		"bus: { url: \"nats://u:hunter2@h:x\" }\n",
		"bus: { url: \"http://u:hunter2@h\" }\n",
		"bus: { url: \"nats://u:hunter2 @h\" }\n",
		"bus: { url: ${URL} }\n",
		"bus: { url: http://hunter2@h, listen: nats://u:hunter2@h }\n",
		"bus: { connect_timeout: nats://u:hunter2@h }\n",
		"tasks: nats://u:hunter2@h\n",
		"tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { loop: { limit: nats://u:hunter2@h } } } }\n",
		"tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { fetch: { extra: { api_key: hunter2 }, retry: 1 } } } }\n",
		"telemetry: { otlp: { headers: { authorization: hunter2 }, foo: 1 } }\n",
		"telemetry: { otlp: { headers: \"authorization=hunter2\" } }\n",
		"telemetry: { otlp: { hedaers: { authorization: hunter2 } } }\n",
		"telemetry: { otlp: \"http://h?token=hunter2\" }\n",
		"telemetry: { otlp: { endpoint: \"http://h/?token=hunter2\" } }\n",
		"telemetry:\n  otlp:\n    headers:\n      authorization: hunter2\n      x-key: [hunter2]\n    foo: 1\n",
		"telemetry:\n  otlp:\n    headers:\n      x: \"hunter2\n        hunter2\"\n      y: [\n",
		"telemetry: { otlp: { endpoint: \"https://u:hunter2@h\", headers: [hunter2] } }\n",
	} {
		_, err := config.Parse("ergon.yaml", []byte(text), environment("URL=http://u:hunter2@h"))
		require.Error(t, err, text)
		var e *config.Error
		require.ErrorAs(t, err, &e)
		for _, f := range e.Faults {
			if strings.Contains(f.Path, secret) || strings.Contains(f.Message, `"hunter2"`) {
				continue // a key is no secret: { password: { hunter2: 1 } }
			}
			require.NotContains(t, f.Error()+f.Excerpt, secret, "%s\n%v", text, err)
		}
	}
}

// Hiding stops where the secret does.
func TestErrorsShowTheRest(t *testing.T) {
	_, err := config.Parse("ergon.yaml", []byte("bus:\n  user: u\n  password:\n  foo: 1\ntasks:\n  refresh-token:\n    source: 1\n"), none)
	require.EqualError(t, err, strings.Join([]string{
		`ergon.yaml:4:3: bus.foo: unknown key "foo", the keys here are url, context, name, creds, nkey, user, password, token, ca, cert, key, tls_first, domain, api_prefix, inbox_prefix, connect_timeout, store, listen`,
		`      foo: 1`,
		`      ^`,
		`ergon.yaml:7:13: tasks.refresh-token.source: a group of keys (http, jetstream, trace) is expected, and this is a value`,
		`        source: 1`,
		`                ^`,
	}, "\n"))
}

func TestPrintsWithoutSecrets(t *testing.T) {
	c := parse(t, "bus: { url: \"nats://h\", user: v, password: hunter2 }\n"+
		"tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, routes: { r: { jetstream: { stream: R, subject: r } } } } }")
	c.Bus.URL, c.Bus.Token = "nats://u:hunter2@h,nats://hunter2@i", "hunter2" // both is a fault, and printed all the same
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("m", "c", c, "d", *c, "b", c.Bus)
	y, err := yaml.Marshal(c)
	require.NoError(t, err)
	j, err := json.Marshal(c)
	require.NoError(t, err)
	require.True(t, json.Valid(j))
	y2, err := yaml.Marshal(c.Bus)
	require.NoError(t, err)
	j2, err := json.Marshal(struct{ B *config.Bus }{&c.Bus})
	require.NoError(t, err)
	require.Contains(t, string(j2), "listen", "the rest is there")
	for _, s := range []string{
		log.String(), string(y), string(j), string(y2), string(j2), c.String(), c.Bus.String(),
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", *c, *c, *c, *c), fmt.Sprintf("%v %+v %#v %s", c.Bus, c.Bus, c.Bus, c.Bus),
		fmt.Sprintf("%+v", struct{ B config.Bus }{c.Bus}), verbs(*c), verbs(c.Bus),
	} {
		require.NotContains(t, s, "hunter2")
		require.Contains(t, s, "xxxxx@h")
	}
	require.Equal(t, "hunter2", c.Bus.Password, "and it is still there")
}

// verbs prints a value by every verb that package fmt has, those among them that
// make no sense. Package fmt asks nobody for %p, which vet refuses.
func verbs(value any) string {
	var b strings.Builder
	for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
		for _, flag := range []string{"", "+", "#", "010."} {
			fmt.Fprintf(&b, "%"+flag+string(verb)+"\n", value)
		}
	}
	return b.String()
}
