package bus_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

func TestConnectOverTCPAndInProcess(t *testing.T) {
	ctx := testContext(t)
	var log logBook
	s := server(t, embedded.Options{Listen: "127.0.0.1:0"})
	b := connect(t, bus.Config{URL: s.URL(), Name: "billing"}, bus.WithLogger(log.logger()), bus.WithLogger(nil))
	status := b.Status()
	require.True(t, status.Connected)
	require.False(t, status.Closed)
	require.Equal(t, s.URL(), status.Server)
	require.Equal(t, "ergon", status.ServerName)
	require.NotEmpty(t, status.Version)
	require.NoError(t, status.LastError)
	require.NotSame(t, b.ConsumeConn(), b.PublishConn())
	require.Equal(t, "billing (publish)", b.PublishConn().Opts.Name)
	require.NoError(t, b.Flush(ctx))
	require.NoError(t, b.Flush(context.Background()), "without a deadline")
	require.NoError(t, b.Close(ctx))
	require.NoError(t, b.Close(ctx))
	require.True(t, b.Status().Closed)
	require.False(t, b.Status().Connected)
	require.Contains(t, log.String(), "connected to NATS")
	require.NotContains(t, log.String(), "level=WARN", "closing is no news")

	require.True(t, connect(t, bus.Config{URL: "nats://never.dialled:1"}, bus.WithInProcess(s.InProcess())).Status().Connected)
}

func TestConnectFailures(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	noSeed := filepath.Join(t.TempDir(), "noseed")
	require.NoError(t, os.WriteFile(noSeed, []byte("hello"), 0o600))
	closed := "nats://" + freePort(t)
	plain := plainServer(t, nil)
	secured := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{{Username: "u", Password: "right"}}
	})
	limited := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{{Username: "u", Password: "right", Permissions: &natsserver.Permissions{
			Publish: &natsserver.SubjectPermission{Deny: []string{"$JS.API.INFO"}},
		}}}
	})
	account := natsserver.NewAccount("WITHOUT")
	without := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Accounts = []*natsserver.Account{account}
		o.Users = []*natsserver.User{{Username: "u", Password: "right", Account: account}}
	})
	for name, c := range map[string]struct {
		cfg  bus.Config
		is   error
		text []string
	}{
		"unreachable":         {bus.Config{URL: closed, ConnectTimeout: 300 * time.Millisecond}, nats.ErrNoServers, []string{closed, "is a NATS server running"}},
		"wrong password":      {bus.Config{URL: secured.ClientURL(), User: "u", Password: "wrong!"}, nats.ErrAuthorization, []string{`user "u": check bus.user and bus.password`, secured.ClientURL()}},
		"password in the URL": {bus.Config{URL: "nats://u:wrong!@" + secured.Addr().String()}, nats.ErrAuthorization, []string{"xxxxx@", "in bus.url"}},
		"nobody":              {bus.Config{URL: secured.ClientURL()}, nats.ErrAuthorization, []string{"wants to know who connects: set bus.creds"}},
		"no JetStream":        {bus.Config{URL: plain.ClientURL()}, nil, []string{plain.ClientURL(), "-js"}},
		"no such domain":      {bus.Config{URL: plain.ClientURL(), Domain: "hub"}, nil, []string{`"hub"`}},
		"not for the account": {bus.Config{URL: without.ClientURL(), User: "u", Password: "right"}, nil, []string{"account"}},
		"INFO denied":         {bus.Config{URL: limited.ClientURL(), User: "u", Password: "right", ConnectTimeout: time.Second}, nil, []string{"$JS.API.INFO"}},
		"no creds file":       {bus.Config{URL: closed, Creds: missing}, os.ErrNotExist, []string{"bus.creds", missing}},
		"no nkey file":        {bus.Config{URL: closed, NKey: missing}, os.ErrNotExist, []string{"bus.nkey", missing}},
		"no seed":             {bus.Config{URL: closed, NKey: noSeed}, nil, []string{"bus.nkey", noSeed}},
		"no CA":               {bus.Config{URL: closed, CA: missing}, os.ErrNotExist, []string{"bus.ca", missing}},
		"no certificate":      {bus.Config{URL: closed, Cert: missing, Key: missing}, os.ErrNotExist, []string{"bus.cert", missing}},
		"no TLS there":        {bus.Config{URL: "tls://" + plain.Addr().String()}, nats.ErrSecureConnWanted, []string{"no TLS"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := bus.Connect(testContext(t), c.cfg)
			require.Nil(t, b)
			require.Error(t, err)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			for _, text := range c.text {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "wrong!")
		})
	}
	done, cancel := context.WithCancel(testContext(t))
	cancel()
	_, err := bus.Connect(done, bus.Config{URL: closed})
	require.ErrorContains(t, err, closed)
}

// Instances often start before their server.
func TestConnectWaitsForAServer(t *testing.T) {
	addr := freePort(t)
	type result struct {
		b   *bus.Bus
		err error
	}
	c := make(chan result, 1)
	go func() {
		b, err := bus.Connect(testContext(t), bus.Config{URL: addr, ConnectTimeout: patience})
		c <- result{b, err}
	}()
	server(t, embedded.Options{Listen: addr})
	got := receive(testContext(t), t, c)
	require.NoError(t, got.err)
	require.NoError(t, got.b.Close(testContext(t)))
}

func TestConnectWithAnNKeyAndAToken(t *testing.T) {
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "user.nk")
	require.NoError(t, os.WriteFile(file, seed, 0o600))
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Nkeys = []*natsserver.NkeyUser{{Nkey: public}}
	})
	require.True(t, connect(t, bus.Config{URL: s.ClientURL(), NKey: file}).Status().Connected)

	s = plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Authorization = "token!"
	})
	require.True(t, connect(t, bus.Config{URL: s.ClientURL(), Token: "token!"}).Status().Connected)
}

func TestInboxPrefix(t *testing.T) {
	ctx := testContext(t)
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{{Username: "u", Password: "p", Permissions: &natsserver.Permissions{
			Subscribe: &natsserver.SubjectPermission{Allow: []string{"mine.>"}},
		}}}
	})
	b := connect(t, bus.Config{URL: s.ClientURL(), User: "u", Password: "p", InboxPrefix: "mine"})
	topology(t, b)
	fillNumbered(t, b, 10)
	require.Len(t, drain(ctx, t, puller(t, b, bus.PullConfig{}), 3), 10)
}

func TestConfigValidate(t *testing.T) {
	require.NoError(t, bus.Config{}.Validate())
	require.NoError(t, bus.Config{URL: "nats://u:p@a:4222, b,tls://c ,ws://d/x,wss://[::1]:80"}.Validate())
	err := bus.Config{
		URL: "http://a,nats://u:hunter2@:bad,embedded,nats://", Creds: "a", Token: "hunter2", Password: "hunter2", Cert: "c",
		Domain: "a.b", APIPrefix: "a.>", InboxPrefix: "x.", ConnectTimeout: -1, Context: "a/b",
	}.Validate()
	for _, text := range []string{`"http"`, "xxxxx@:bad", "embedded server", `"nats://"`, "exclude", "cert and key", "domain:", "api_prefix:",
		"domain and api_prefix", "inbox_prefix:", "connect_timeout:", "context:", "names a user"} {
		require.ErrorContains(t, err, text)
	}
	require.NotContains(t, err.Error(), "hunter2")
	require.ErrorContains(t, bus.Config{Password: "hunter2"}.Validate(), "password without user")
	require.ErrorContains(t, bus.Config{URL: "wss://h", TLSFirst: true}.Validate(), "remove tls_first")
	require.ErrorContains(t, bus.Config{URL: "WS://h", Cert: "c", Key: "k"}.Validate(), "use wss://")
}
