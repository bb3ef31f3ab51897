package kv_test

import (
	"context"
	"net"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a nats-server that can be stopped and started again on its store.
type server struct {
	t       testing.TB
	options natsserver.Options
	running *natsserver.Server
}

func startServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, options: natsserver.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	srv, err := natsserver.NewServer(s.options.Clone())
	require.NoError(s.t, err)
	srv.Start()
	require.True(s.t, srv.ReadyForConnections(10*time.Second))
	s.options.Port = srv.Addr().(*net.TCPAddr).Port
	s.running = srv
}

func (s *server) stop() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

func (s *server) connect() *nats.Conn {
	s.t.Helper()
	nc, err := nats.Connect(s.running.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

func js(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// region is flat: a decoded one may be given to everybody.
type region struct {
	Name string
	Tax  float64
}

func setup(change func(*spec.KV)) services.Setup[spec.KV] {
	s := services.Setup[spec.KV]{Name: "regions", Config: spec.KV{Bucket: "REGIONS", Create: true}}
	if change != nil {
		change(&s.Config)
	}
	return s
}

// started makes a Store, starts it, and stops it with the test.
func started[V any](t testing.TB, s services.Setup[spec.KV], bus kv.Bus, opts ...kv.Option) *kv.Store[V] {
	t.Helper()
	store, err := kv.New[V](s, bus, opts...)
	require.NoError(t, err)
	require.NoError(t, store.Start(context.Background()))
	t.Cleanup(func() { require.NoError(t, store.Stop(context.Background())) })
	return store
}

// eventually waits for what comes about beside the test.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 5*time.Millisecond, what)
}
