package http_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// stream is an embedded server with a stream, and a receiver that stores in it.
type stream struct {
	*rig
	server *embedded.Server
	bus    *bus.Bus
	pub    *bus.Publisher
}

func newStream(t *testing.T, route http.Route, records http.Records) *stream {
	t.Helper()
	n := &stream{}
	var err error
	n.server, err = embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(n.server.Shutdown)
	n.bus, err = bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(n.server.InProcess()))
	require.NoError(t, err)
	closed := func(close func(context.Context) error) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_ = close(ctx) // which fails where the test has taken the server away
		})
	}
	closed(n.bus.Close)
	_, err = n.bus.Ensure(t.Context(), bus.Topology{Streams: []bus.Stream{{Name: "IN", Subjects: []string{"in.>"}}}})
	require.NoError(t, err)
	n.pub, err = n.bus.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	closed(n.pub.Close)
	sink, err := jetstream.NewSink(n.pub, "in.orders", jetstream.InStream("IN"))
	require.NoError(t, err)
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: sink, Records: records})
	require.NoError(t, err)
	n.rig = serve(t, http.ServerConfig{}, func(server *http.Server) { require.NoError(t, server.Add(route, receiver)) })
	return n
}

// What was answered with 202 is in the stream, once, as it was sent; a retry is told from
// another request by what the stream holds.
func TestStoresInJetStream(t *testing.T) {
	n := newStream(t, http.Route{Path: "/in", MaxBody: 4 << 20, Wait: 500 * time.Millisecond}, nil)
	plain := n.post("/in", "plain", "traceparent", traceParent)
	require.Equal(t, 202, plain.StatusCode, plain.body)
	found, err := jetstream.At(t.Context(), n.bus, "IN", 1)
	require.NoError(t, err)
	require.Equal(t, plain.transaction(t), found.ID())
	require.Equal(t, "http:/in", found.Source())
	require.Equal(t, "plain", string(found.Payload()))
	require.Equal(t, traceParent, found.Trace().Parent)

	one := n.post("/in", "x", "Idempotency-Key", "k", "Content-Type", "text/plain")
	require.Equal(t, 202, one.StatusCode, one.body)
	again := n.post("/in", "x", "Idempotency-Key", "k", "Content-Type", "text/plain")
	require.Equal(t, 202, again.StatusCode, again.body)
	require.Equal(t, one.transaction(t), again.transaction(t))
	n.post("/in", "y", "Idempotency-Key", "k", "Content-Type", "text/plain").problem(t, 422, "used with another body")
	n.post("/in", "x", "Idempotency-Key", "k").problem(t, 422, "used with another body")
	info, err := n.bus.JetStream().Stream(t.Context(), "IN")
	require.NoError(t, err)
	require.EqualValues(t, 2, info.CachedInfo().State.Msgs)

	require.NoError(t, info.DeleteMsg(t.Context(), 2)) // as a work queue does
	n.post("/in", "x", "Idempotency-Key", "k", "Content-Type", "text/plain").problem(t, 409, "can't be compared")

	n.post("/in", string(make([]byte, 2<<20))).problem(t, 422, "can't be stored, now or later")
	n.server.Shutdown()
	n.post("/in", "x").problem(t, 503, "")
	require.EqualValues(t, 2, info.CachedInfo().State.LastSeq)
}

// Every request of many at once that got a 202 is in the stream, and no other is.
func TestStoresManyInJetStream(t *testing.T) {
	n := newStream(t, http.Route{Path: "/in"}, nil)
	const clients, each = 16, 50
	ids := map[string]bool{}
	for range each {
		var all []<-chan response
		for range clients {
			all = append(all, n.later("/in", "x"))
		}
		for _, c := range all {
			resp := receive(t, c)
			require.Equal(t, 202, resp.StatusCode, resp.body)
			ids[resp.transaction(t)] = true
		}
	}
	require.Len(t, ids, clients*each)
	for seq := range uint64(clients * each) {
		found, err := jetstream.At(t.Context(), n.bus, "IN", seq+1)
		require.NoError(t, err)
		require.True(t, ids[found.ID()])
	}
	_, err := jetstream.At(t.Context(), n.bus, "IN", clients*each+1)
	require.ErrorIs(t, err, bus.ErrNoMessage)
}

// An engine that takes what was stored tells what became of it.
func TestStatusOfWhatAnEngineDid(t *testing.T) {
	records := http.NewMemoryRecords(time.Hour, 100)
	n := newStream(t, http.Route{Path: "/in"}, records)
	outcomes := http.NewOutcomes(http.OutcomesConfig{Records: records, Sources: []string{"http:/in"}})
	t.Cleanup(func() { require.NoError(t, outcomes.Close(context.Background())) })
	good, bad := n.post("/in", "good").Header.Get("Location"), n.post("/in", "bad").Header.Get("Location")
	n.status(good, "pending")

	letters, err := n.bus.NewDeadLetters(t.Context(), bus.DeadLetterConfig{}, n.pub)
	require.NoError(t, err)
	source, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: n.bus, DeadLetters: letters, Starts: n.bus.NewStarts(1), Task: "task", Consumer: bus.Consumer{Stream: "IN", Durable: "task"},
	})
	require.NoError(t, err)
	report, err := newEngine(t, source, false, outcomeTeller(outcomes)).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Succeeded)
	n.status(good, "succeeded")
	require.Equal(t, "BUSINESS in process: it is bad", n.status(bad, "dead"))
	require.NoError(t, letters.Close(t.Context()))
}

// outcomeTeller is how an application wires events to records.
func outcomeTeller(o *http.Outcomes) func(engine.Event) {
	return func(e engine.Event) {
		if ended, ok := e.(engine.Finished); ok {
			switch ended.Outcome {
			case engine.Succeeded:
				o.Tell(ended.Transaction, nil)
			case engine.Dead:
				o.Tell(ended.Transaction, ended.Err)
			}
		}
	}
}

// judge echoes a body, unless it is bad.
type judge struct{}

func (judge) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	if string(tx.Payload()) == "bad" {
		return nil, ergon.Business("it is bad")
	}
	return append([]byte("judged "), tx.Payload()...), nil
}

func newEngine(t *testing.T, source ergon.Source, streaming bool, observe func(engine.Event)) *engine.Engine {
	t.Helper()
	p := policy.DefaultConsumer()
	p.Loop.Streaming = streaming
	e, err := engine.New(engine.Config{
		Task: engine.Consume[[]byte, []byte]("task", judge{}), Source: source,
		Sinks: map[string]ergon.Sink{"reply": http.ReplySink()}, Policy: p, App: "test", Observe: observe,
	})
	require.NoError(t, err)
	return e
}

// With an engine behind it a request is answered by the task; when the engine stops, all
// that came are answered, and new ones turned away.
func TestAnswersByAnEngine(t *testing.T) {
	r, source := waiting(t, http.SourceConfig{}, http.Route{Path: "/in"})
	e := newEngine(t, source, true, nil)
	ctx, stop := context.WithCancel(t.Context())
	reports := make(chan engine.Report, 1)
	go func() {
		report, err := e.Run(ctx)
		if err != nil {
			t.Errorf("run: %v", err)
		}
		reports <- report
	}()
	resp := r.post("/in", "x")
	require.Equal(t, 200, resp.StatusCode, resp.body)
	require.Equal(t, "judged x", resp.body)
	r.post("/in", "bad").problem(t, 422, "it is bad")

	var all []<-chan response
	for range 100 {
		all = append(all, r.later("/in", "x"))
	}
	r.Drain()
	stop()
	receive(t, reports)
	require.NoError(t, source.Close(t.Context()))
	for _, c := range all {
		require.Contains(t, []int{200, 503}, receive(t, c).StatusCode)
	}
	r.post("/in", "x").problem(t, 503, "stopping")
}
