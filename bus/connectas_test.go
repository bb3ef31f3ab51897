package bus_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/natstest"
)

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, time.Millisecond)
}

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// operator is one with a server that trusts it.
type operator struct {
	*natstest.Operator
	s *natsserver.Server
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := natstest.NewOperator(t)
	return &operator{o, plainServer(t, o.Trusted)}
}

func (o *operator) creds(expires time.Time) string { return o.Creds(expires, nil) }

func TestConnectWithCreds(t *testing.T) {
	o := newOperator(t)
	creds := o.creds(time.Time{})
	file := writeFile(t, "user.creds", creds)
	require.True(t, connect(t, bus.Config{URL: o.s.ClientURL(), Creds: file}).Status().Connected)

	home := t.TempDir()
	t.Setenv("HOME", home)
	require.NoError(t, os.WriteFile(filepath.Join(home, "user.creds"), []byte(creds), 0o600))
	require.True(t, connect(t, bus.Config{URL: o.s.ClientURL(), Creds: "~/user.creds"}).Status().Connected)

	lines := strings.Split(creds, "\n")
	jwt, seed := lines[1], lines[5]
	expired := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"expired":           {o.creds(expired), []string{"is expired since " + expired.UTC().Format(time.RFC3339), "put a new file there"}},
		"another operator":  {o.Another().Creds(time.Time{}, nil), []string{"is the user of this server's operator"}},
		"a seed alone":      {seed, []string{"holds no user JWT", "not a .creds file"}},
		"anything":          {"hunter2 hunter2.hunter2.hunter2\n", []string{"holds no user JWT"}},
		"nothing":           {"", []string{"holds no user JWT"}},
		"a JWT alone":       {jwt, []string{"holds no nkey seed of a user"}},
		"a seed that isn't": {strings.Replace(creds, seed, "SUhunter2", 1), []string{"holds no nkey seed of a user"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, "bad.creds", c.text)
			_, err := bus.Connect(testContext(t), bus.Config{URL: o.s.ClientURL(), Creds: file, ConnectTimeout: patience})
			for _, text := range append(c.want, "bus.creds", file) {
				require.ErrorContains(t, err, text)
			}
			for _, secret := range []string{jwt, seed, "hunter2", "BEGIN"} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// The user expires while it is connected. The server is sought on, and the file
// that is put in its place is used without a restart.
func TestCredsAreReadAgain(t *testing.T) {
	o := newOperator(t)
	file := writeFile(t, "user.creds", o.creds(time.Now().Add(2*time.Second)))
	var log logBook
	b := connect(t, bus.Config{URL: o.s.ClientURL(), Creds: file}, bus.WithLogger(log.logger()))
	eventually(t, func() bool { return strings.Count(log.String(), "is expired since") >= 2 })
	eventually(t, func() bool { return strings.Contains(b.Status().LastError.Error(), "put a new file there") })
	// More refusals than nats.go takes by itself, which is two.
	require.NoError(t, b.ConsumeConn().ForceReconnect())
	require.NoError(t, os.WriteFile(file, []byte("half a f"), 0o600))
	eventually(t, func() bool { return strings.Contains(b.Status().LastError.Error(), "holds no user JWT") })
	require.False(t, b.Status().Closed)
	require.NoError(t, os.WriteFile(file, []byte(o.creds(time.Time{})), 0o600))
	eventually(t, func() bool { return b.Status().Connected })
	require.NoError(t, b.Flush(testContext(t)))
	require.NotContains(t, log.String(), "SUA")
	require.NotContains(t, log.String(), "eyJ")
}

func TestNKey(t *testing.T) {
	first, err := nkeys.CreateUser()
	require.NoError(t, err)
	second, err := nkeys.CreateUser()
	require.NoError(t, err)
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	var options *natsserver.Options
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Nkeys = []*natsserver.NkeyUser{{Nkey: natstest.PublicKey(t, first)}}
		options = o
	})
	file := writeFile(t, "user.nk", "# a comment\n"+natstest.SeedOf(t, first)+"\n")
	var log logBook
	b := connect(t, bus.Config{URL: s.ClientURL(), NKey: file}, bus.WithLogger(log.logger()))

	_, err = bus.Connect(testContext(t), bus.Config{URL: s.ClientURL(), NKey: writeFile(t, "x.nk", natstest.SeedOf(t, second))})
	require.ErrorIs(t, err, nats.ErrAuthorization)
	require.ErrorContains(t, err, "does not know "+natstest.PublicKey(t, second))
	require.NotContains(t, err.Error(), natstest.SeedOf(t, second))
	_, err = bus.Connect(testContext(t), bus.Config{URL: s.ClientURL(), NKey: writeFile(t, "x.nk", natstest.SeedOf(t, account))})
	require.ErrorContains(t, err, "which begins with SU")
	require.NotContains(t, err.Error(), natstest.SeedOf(t, account))

	// The key is changed, first at the server and then here.
	changed := options.Clone()
	changed.Nkeys = []*natsserver.NkeyUser{{Nkey: natstest.PublicKey(t, second)}}
	require.NoError(t, s.ReloadOptions(changed))
	eventually(t, func() bool { return containsAll(log.String(), "does not know "+natstest.PublicKey(t, first)) })
	require.NoError(t, os.WriteFile(file, []byte(natstest.SeedOf(t, second)), 0o600))
	eventually(t, func() bool { return b.Status().Connected })
	require.NoError(t, b.Flush(testContext(t)))
	require.NotContains(t, log.String(), natstest.SeedOf(t, first))
	require.NotContains(t, log.String(), natstest.SeedOf(t, second))
}

// The server takes another password for a while. The connections are not closed,
// however often they are refused.
func TestRefusedForAWhile(t *testing.T) {
	var options *natsserver.Options
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream, o.Username, o.Password = true, "u", "right!"
		options = o
	})
	var log logBook
	b := connect(t, bus.Config{URL: s.ClientURL(), User: "u", Password: "right!"}, bus.WithLogger(log.logger()))
	changed := options.Clone()
	changed.Password = "other!"
	require.NoError(t, s.ReloadOptions(changed))
	eventually(t, func() bool { return strings.Contains(log.String(), "check bus.user and bus.password") })
	for n := range 5 { // nats.go closes after two
		before := b.Status().LastErrorAt
		require.NoError(t, b.PublishConn().ForceReconnect())
		eventually(t, func() bool { return b.Status().LastErrorAt.After(before) })
		require.False(t, b.Status().Closed, "%d", n)
	}
	require.ErrorIs(t, b.Status().LastError, nats.ErrAuthorization)
	require.NoError(t, s.ReloadOptions(options.Clone()))
	eventually(t, func() bool { return b.Status().Connected })
	require.NotContains(t, log.String(), "right!")
}

// nats.go gives a server up after 60 tries, unless told otherwise.
func TestReconnectsForEver(t *testing.T) {
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	nc := b.PublishConn()
	require.Equal(t, -1, nc.Opts.MaxReconnect)
	r.stop()
	listener, err := net.Listen("tcp", r.o.Listen)
	require.NoError(t, err)
	var tries atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
			_ = c.Close()
		}
	}()
	eventually(t, func() bool { return nc.ForceReconnect() == nil && tries.Load() > 150 }) // without the delays
	require.NoError(t, listener.Close())
	<-done
	require.False(t, b.Status().Closed)
	r.start()
	eventually(t, func() bool { return b.Status().Connected })
}
