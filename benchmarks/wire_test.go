package main

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	contender "github.com/ergon-framework/ergon/benchmarks/ergon"
	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/raw"
	"github.com/ergon-framework/ergon/benchmarks/work"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// raw-wire is a yardstick as long as it writes what Ergon writes: the same
// headers with the same values, but for the times at which they were written.
func TestSameWire(t *testing.T) {
	srv, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(srv.Shutdown)
	nc, err := nats.Connect(srv.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	create := func(name, subject string) jetstream.Stream {
		s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}})
		require.NoError(t, err)
		return s
	}
	const n = 100
	create("INPUT", "input")
	for id := range int64(n) {
		_, err := js.Publish(t.Context(), "input", work.Encoded(id))
		require.NoError(t, err)
	}

	wrote := func(name string, run harness.Contender) (outputs, dead map[int64]nats.Header) {
		job := &work.Job{
			URL: srv.URL(), Stream: "INPUT", Durable: name, Output: "out." + name, OutputStream: "OUT_" + name,
			Dead: "dead." + name, DeadStream: "DEAD_" + name, Concurrency: 8, Window: 64,
			Faulty: true, Attempts: 3, Backoff: time.Millisecond, Inputs: n,
		}
		out, letters := create(job.OutputStream, job.Output), create(job.DeadStream, job.Dead)
		consumer, err := js.CreateConsumer(t.Context(), "INPUT", jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, job) }()
		require.Eventually(t, func() bool {
			info, err := consumer.Info(t.Context())
			return err == nil && info.NumPending == 0 && info.NumAckPending == 0
		}, 20*time.Second, 10*time.Millisecond)
		stop()
		require.NoError(t, <-ended)
		return headers(t, out, n-1), headers(t, letters, 1)
	}
	rawOut, rawDead := wrote("raw", raw.RunWire)
	ergonOut, ergonDead := wrote("ergon", contender.Run)
	same := func(want, got map[int64]nats.Header, but ...string) {
		require.Len(t, got, len(want))
		for id, w := range want {
			g := got[id]
			for name := range w {
				require.Contains(t, g, name, "of input %d", id)
				if !slices.Contains(but, name) {
					require.Equal(t, told(name, w[name]), told(name, g[name]), "%s of input %d", name, id)
				}
			}
			require.Len(t, g, len(w), "headers of input %d: %v", id, g)
		}
	}
	same(ergonOut, rawOut, "ce-time")
	same(ergonDead, rawDead, "Nats-Msg-Id", "Ergon-Dead-First-Seen", "Ergon-Dead-Failed-At")
}

// told is a header without what is another in each run: of a traceparent the ID of the
// transaction's span.
func told(name string, values []string) []string {
	if name == "traceparent" && len(values) == 1 && len(values[0]) == 55 {
		return []string{values[0][:36] + values[0][52:]}
	}
	return values
}

// headers are those of all messages of a stream, by the number of the input.
func headers(t *testing.T, s jetstream.Stream, n int) map[int64]nats.Header {
	t.Helper()
	all := map[int64]nats.Header{}
	for seq := 1; seq <= n; seq++ {
		m, err := s.GetMsg(t.Context(), uint64(seq))
		require.NoError(t, err)
		var in work.In
		require.NoError(t, json.Unmarshal(m.Data, &in))
		all[in.ID] = m.Header
	}
	require.Len(t, all, n)
	return all
}
