package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/cli"
)

// buryOrders stores letters of n orders, and makes the stream that they came from.
func (g *graveyard) buryOrders(n int) {
	g.t.Helper()
	_, err := g.bus.EnsureStream(g.t.Context(), bus.Stream{Name: "ORDERS", Subjects: []string{"orders"}})
	require.NoError(g.t, err)
	for i := range n {
		g.bury(nats.Header{
			"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Subject": {"orders"}, "Ergon-Dead-Reason": {"down"},
			"Ergon-Orig-Nats-Msg-Id": {fmt.Sprint("order-", i)}, "Authorization": {"Bearer s3cret"},
		}, fmt.Sprint(i))
	}
}

func (g *graveyard) count(stream string) uint64 {
	g.t.Helper()
	s, err := g.bus.JetStream().Stream(g.t.Context(), stream)
	require.NoError(g.t, err)
	return s.CachedInfo().State.Msgs
}

func TestSensitiveHeadersAreNotShown(t *testing.T) {
	g := newGraveyard(t)
	header := nats.Header{
		"Ergon-Dead-Task": {"score"}, "Authorization": {"Bearer s3cret"}, "Ergon-Meta-proxy-authorization": {"s3cret"},
		"X-API-Key-Id": {"s3cret", "s3cret"}, "Ergon-Meta-session%54oken": {"s3cret"}, "cookie": {"s3cret"}, "X-Tenant": {"blue"},
	}
	g.bury(header, "payload")
	for _, args := range [][]string{{"show", "1"}, {"show", "1", "--json"}} {
		out := g.run(args...)
		require.NotContains(t, out, "s3cret")
		require.Contains(t, out, "[redacted]")
		require.Contains(t, out, "blue")
	}
	var told struct{ Headers nats.Header }
	require.NoError(t, json.Unmarshal([]byte(g.run("show", "1", "--json")), &told))
	require.Equal(t, []string{"[redacted]", "[redacted]"}, told.Headers["X-API-Key-Id"])

	// A list of one's own replaces the default.
	file := filepath.Join(t.TempDir(), "ergon.yaml")
	require.NoError(t, os.WriteFile(file, []byte("telemetry: { sensitive: [x-tenant] }"), 0o600))
	out := g.run("show", "1", "-f", file)
	require.Contains(t, out, "Bearer s3cret")
	require.NotContains(t, out, "blue")

	g.buryOrders(1)
	g.run("requeue", "2")
	m, err := g.bus.MessageAt(t.Context(), "ORDERS", 1)
	require.NoError(t, err)
	require.Equal(t, "Bearer s3cret", m.Msg.Header.Get("Authorization"), "what is put back is as it was")
}

// A signal ends it between two letters, and says how far it came.
func TestRequeueStopsBetweenTwoLetters(t *testing.T) {
	for again, args := range map[string][]string{
		"the same command again goes on":                      {"--all", "--yes"},
		"the same command with the numbers from 2 on goes on": {"1", "2", "3"},
	} {
		requeueStops(t, again, args)
	}
}

func requeueStops(t *testing.T, again string, args []string) {
	g := newGraveyard(t)
	g.buryOrders(3)
	signals := make(chan os.Signal, 1)
	_, err := g.bus.ConsumeConn().Subscribe("orders", func(*nats.Msg) { signals <- syscall.SIGINT })
	require.NoError(t, err)
	require.NoError(t, g.bus.ConsumeConn().Flush())
	var out, errs bytes.Buffer
	p := &cli.Process{
		Args:  append([]string{"dlq", "requeue", "--rate", "0.001"}, args...), // the second is due in a quarter of an hour
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Signals: signals,
		Env: func(name string) (string, bool) { return g.url, name == "ERGON_BUS_URL" },
	}
	require.Equal(t, 1, p.Run(context.WithoutCancel(t.Context())))
	require.Regexp(t, `^1 dead letter put back in .*, 2 not tried\n$`, out.String())
	require.Equal(t, "ergon: stopped: 2 dead letters not tried; "+again+"\n", errs.String())
	require.EqualValues(t, 1, g.count("ORDERS"))
	require.EqualValues(t, 2, g.count("ERGON_DLQ"))
}

// The server is killed in the middle. What is not done is said, and the same command
// does it: nothing is lost, and nothing doubled.
func TestRequeueWhileTheServerEnds(t *testing.T) {
	const letters = 200
	options := embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"}
	server, err := embedded.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { server.Shutdown() })
	options.Listen = strings.TrimPrefix(server.URL(), "nats://")
	open := func() *graveyard {
		b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Close(context.WithoutCancel(t.Context())) })
		_, err = b.EnsureStream(t.Context(), bus.Stream{Name: "ERGON_DLQ", Subjects: []string{"ergon.dlq.>"}})
		require.NoError(t, err)
		return &graveyard{t, b, server.URL()}
	}
	g := open()
	g.buryOrders(letters)
	seen, done := make(chan struct{}, letters), make(chan struct{})
	_, err = g.bus.ConsumeConn().Subscribe("orders", func(*nats.Msg) { seen <- struct{}{} })
	require.NoError(t, err)
	require.NoError(t, g.bus.ConsumeConn().Flush())
	go func() {
		defer close(done)
		for range letters / 4 {
			<-seen
		}
		server.Shutdown()
	}()
	var out bytes.Buffer
	code, stderr := g.ergon(&out, "requeue", "--all", "--yes", "--json")
	<-done
	require.Equal(t, 1, code, out.String())
	require.Regexp(t, `ergon: dead letter \d+ of "ERGON_DLQ"`, stderr)
	var told struct{ Picked, Done, Left int }
	require.NoError(t, json.Unmarshal(out.Bytes(), &told))
	require.Equal(t, letters, told.Picked)
	require.Positive(t, told.Done)
	require.Positive(t, told.Left)

	server, err = embedded.Start(t.Context(), options)
	require.NoError(t, err)
	g = open()
	require.GreaterOrEqual(t, g.count("ORDERS")+g.count("ERGON_DLQ"), uint64(letters), "nothing is lost")
	require.Regexp(t, `^\d+ dead letters put back in `, g.run("requeue", "--all", "--yes"))
	require.EqualValues(t, letters, g.count("ORDERS"), "and nothing doubled")
	require.Zero(t, g.count("ERGON_DLQ"))
}

// What can't be put back is told one by one, up to a bound.
func TestRequeueTellsWhatStays(t *testing.T) {
	g := newGraveyard(t)
	g.buryOrders(1)
	for range 25 {
		g.bury(nats.Header{"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Subject": {"nowhere"}}, "x")
	}
	var out bytes.Buffer
	code, stderr := g.ergon(&out, "requeue", "--task", "score", "--yes")
	require.Equal(t, 1, code)
	require.Regexp(t, `^1 dead letter put back in .*, 25 stay\n$`, out.String())
	require.Equal(t, 20, strings.Count(stderr, `no stream takes "nowhere"`))
	require.True(t, strings.HasSuffix(stderr, "\nergon: 5 more stay\n"), stderr)
	require.EqualValues(t, 25, g.count("ERGON_DLQ"))
}
