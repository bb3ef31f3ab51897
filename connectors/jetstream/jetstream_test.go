package jetstream_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with an input stream, an output stream and dead letters.
type world struct {
	bus     *bus.Bus
	pub     *bus.Publisher
	letters *bus.DeadLetters
	parking *bus.Parking
	change  func(*jetstream.SourceConfig) // of each source
	app     string                        // of each engine, default test
	wrap    func(ergon.Sink) ergon.Sink   // of each sink
	observe func(engine.Event)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	return newWorldOn(t, b)
}

// newWorldOn makes the streams that are missing. It closes b at the end.
func newWorldOn(t *testing.T, b *bus.Bus) *world { return newReplicated(t, b, 1) }

func newReplicated(t *testing.T, b *bus.Bus, replicas int) *world {
	t.Helper()
	closed := func(close func(context.Context) error) {
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			require.NoError(t, close(ctx))
		})
	}
	closed(b.Close)
	_, err := b.Ensure(t.Context(), bus.Topology{Streams: []bus.Stream{
		{Name: "IN", Subjects: []string{"in.>"}, Replicas: replicas}, {Name: "OUT", Subjects: []string{"out.>"}, Replicas: replicas},
	}})
	require.NoError(t, err)
	pub, err := b.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	closed(pub.Close)
	letters, err := b.NewDeadLetters(t.Context(), bus.DeadLetterConfig{Replicas: replicas}, pub)
	require.NoError(t, err)
	closed(letters.Close)
	parking, err := b.NewParking(t.Context(), bus.ParkingConfig{Replicas: replicas}, pub)
	require.NoError(t, err)
	return &world{bus: b, pub: pub, letters: letters, parking: parking}
}

func (w *world) source(t *testing.T, ackWait time.Duration) *jetstream.Source {
	t.Helper()
	cfg := jetstream.SourceConfig{
		Bus: w.bus, DeadLetters: w.letters, Parking: w.parking, Starts: w.bus.NewStarts(1), Task: "task",
		Consumer: bus.Consumer{Stream: "IN", Durable: "task", Subjects: []string{"in.lines"}, AckWait: ackWait},
	}
	if w.change != nil {
		w.change(&cfg)
	}
	s, err := jetstream.NewSource(t.Context(), cfg)
	require.NoError(t, err)
	return s
}

func (w *world) engine(t *testing.T, task engine.Task, ackWait time.Duration, change func(*policy.Consumer)) *engine.Engine {
	t.Helper()
	direct, err := jetstream.NewSink(w.pub, "out.lines")
	require.NoError(t, err)
	sink := ergon.Sink(direct)
	if w.wrap != nil {
		sink = w.wrap(sink)
	}
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	p.Process.Retry.Backoff = policy.Duration(time.Millisecond)
	if change != nil {
		change(&p)
	}
	e, err := engine.New(engine.Config{
		Task: task, Source: w.source(t, ackWait), Sinks: map[string]ergon.Sink{"lines": sink}, Policy: p, App: cmp.Or(w.app, "test"),
		Observe: w.observe,
	})
	require.NoError(t, err)
	return e
}

func (w *world) publish(t *testing.T, msgs ...*nats.Msg) {
	t.Helper()
	for _, m := range msgs {
		if m.Subject == "" {
			m.Subject = "in.lines"
		}
		_, err := w.bus.JetStream().PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
}

// all returns every message of a stream.
func (w *world) all(t *testing.T, stream string) []*nats.Msg {
	t.Helper()
	var msgs []*nats.Msg
	require.NoError(t, w.bus.Scan(t.Context(), stream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
		msgs = append(msgs, m)
		return nil
	}))
	return msgs
}

// stored is how many messages a stream holds.
func (w *world) stored(t *testing.T, stream string) uint64 {
	t.Helper()
	s, err := w.bus.JetStream().Stream(t.Context(), stream)
	require.NoError(t, err)
	return s.CachedInfo().State.Msgs
}

type in struct {
	N int `json:"n"`
}

type out struct {
	Square int `json:"square"`
}

type consumer func(ctx context.Context, tx ergon.Transaction[in]) (out, error)

func (f consumer) Process(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
	return f(ctx, tx)
}

func square(_ context.Context, tx ergon.Transaction[in]) (out, error) {
	n := tx.Payload().N
	return out{n * n}, nil
}

func task(f consumer) engine.Task { return engine.Consume("task", f) }

func TestPipeline(t *testing.T) {
	w := newWorld(t)
	const n = 3000
	var answers sync.WaitGroup
	for i := range n {
		answers.Add(1)
		m := &nats.Msg{Subject: "in.lines", Data: fmt.Appendf(nil, `{"n":%d}`, i)}
		w.pub.Publish(t.Context(), m, func(_ bus.PubAck, err error) {
			defer answers.Done()
			if err != nil {
				t.Error(err)
			}
		})
	}
	answers.Wait()
	report, err := w.engine(t, task(square), 0, nil).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n, report.Succeeded)
	require.Zero(t, report.Abandoned+report.Released+report.Lost+report.Dead)
	outs := w.all(t, "OUT")
	require.Len(t, outs, n)
	ids := map[string]bool{}
	for _, m := range outs {
		ids[m.Header.Get("Nats-Msg-Id")] = true
	}
	require.Len(t, ids, n)
	info, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
	require.NoError(t, err)
	require.Zero(t, info.AckPending)
	require.Zero(t, info.Pending)
}

// The wire contract, both ways: what an output carries, and that a hop continues
// flow and trace.
func TestWireContract(t *testing.T) {
	w := newWorld(t)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	m := &nats.Msg{Data: []byte(`{"n":3}`), Header: nats.Header{
		"CE-ID": {"a%20b"}, "ce-source": {"/shop"}, "Ce-Type": {"placed"}, "ce-time": {"2026-01-02T03:04:05.6Z"},
		"ce-subject": {"customer-7"}, "ce-correlationid": {"flow-1"}, "Content-Type": {"application/json; charset=utf-8"},
		"Traceparent": {trace}, "tracestate": {"v=1"},
		"Ergon-Meta-Tenant": {"caf%C3%A9", "b"}, "X-Channel": {"web"}, "Authorization": {"secret"}, "Nats-Msg-Id": {"other"},
		"Ergon-Dead-Reason": {"forged"},
	}}
	w.publish(t, m)
	var got ergon.Transaction[in]
	_, err := w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		got = tx
		return square(ctx, tx)
	}), 0, nil).Run(t.Context())
	require.NoError(t, err)

	require.Equal(t, "a b", got.ID())
	require.Equal(t, "/shop", got.Source())
	require.Equal(t, "placed", got.Type())
	require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 6e8, time.UTC), got.CreatedAt())
	require.Equal(t, "customer-7", got.Key())
	require.Equal(t, "flow-1", got.CorrelationID())
	require.Equal(t, ergon.Trace{Parent: trace, State: "v=1"}, got.Trace())
	require.Equal(t, []string{"café", "b"}, got.Metadata().Values("tenant"))
	require.Equal(t, "web", got.Metadata().Get("x-channel"))
	require.Equal(t, 3, got.Metadata().Len(), "credentials, Ergon-* and Nats-* stay out")

	outs := w.all(t, "OUT")
	require.Len(t, outs, 1)
	h := outs[0].Header
	require.Equal(t, "1.0", h.Get("ce-specversion"))
	require.Equal(t, h.Get("Nats-Msg-Id"), h["ce-id"][0])
	require.Len(t, h["ce-id"][0], 32)
	require.Equal(t, []string{"/ergon/test/task"}, h["ce-source"])
	require.Equal(t, []string{"lines"}, h["ce-type"])
	require.Equal(t, []string{"application/json"}, h["ce-datacontenttype"])
	require.Equal(t, []string{"a%20b"}, h["ce-causationid"])
	require.Equal(t, []string{"flow-1"}, h["ce-correlationid"])
	require.Equal(t, []string{trace}, h["traceparent"])
	require.Equal(t, []string{"v=1"}, h["tracestate"])
	require.NotContains(t, h, "ce-subject", "what says nothing is not written")
	require.JSONEq(t, `{"square":9}`, string(outs[0].Data))
}

// A plain message is a valid transaction (DESIGN §4).
func TestPlainMessages(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`)}, &nats.Msg{Data: []byte(`{"n":2}`), Header: nats.Header{"Nats-Msg-Id": {"mine"}}})
	var mu sync.Mutex
	ids := map[int]string{}
	_, err := w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		mu.Lock()
		defer mu.Unlock()
		ids[tx.Payload().N] = tx.Source() + " " + tx.ID()
		return square(ctx, tx)
	}), 0, nil).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[int]string{1: "nats:IN IN:1", 2: "nats:IN mine"}, ids)
	traces := map[string]bool{}
	for _, m := range w.all(t, "OUT") {
		traces[m.Header["traceparent"][0]] = true
	}
	require.Len(t, traces, 2, "each has a trace of its own, from its identity")
}

// What fails for good is kept with its bytes, its headers and the reason.
func TestDeadLetters(t *testing.T) {
	w := newWorld(t)
	w.publish(t,
		&nats.Msg{Data: []byte("\x00not json"), Header: nats.Header{"X-A": {"1", "2"}, "Nats-Msg-Id": {"bytes"}}},
		&nats.Msg{Data: []byte(`{"n":-1}`), Header: nats.Header{"Nats-Msg-Id": {"business"}}},
		&nats.Msg{Data: []byte(`{"n":-2}`), Header: nats.Header{"Nats-Msg-Id": {"panic"}}},
	)
	report, err := w.engine(t, task(func(_ context.Context, tx ergon.Transaction[in]) (out, error) {
		if tx.Payload().N == -1 {
			return out{}, ergon.Business("n is %d", tx.Payload().N)
		}
		panic("boom")
	}), 0, func(p *policy.Consumer) { p.Process.Retry.MaxAttempts = 2 }).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, report.Dead)
	letters := map[string]*nats.Msg{}
	for _, m := range w.all(t, "ERGON_DLQ") {
		require.Equal(t, "ergon.dlq.task", m.Subject)
		letters[m.Header["Ergon-Orig-Nats-Msg-Id"][0]] = m
	}
	require.Len(t, letters, 3)

	bytes := letters["bytes"]
	require.Equal(t, "\x00not json", string(bytes.Data))
	require.Equal(t, []string{"1", "2"}, bytes.Header["X-A"])
	require.Equal(t, "decode", bytes.Header.Get("Ergon-Dead-Phase"))
	require.Equal(t, "BUSINESS", bytes.Header.Get("Ergon-Dead-Category"))

	business := letters["business"]
	require.Equal(t, "n is -1", business.Header.Get("Ergon-Dead-Reason"))
	require.Equal(t, "1", business.Header.Get("Ergon-Dead-Attempts"))
	require.Equal(t, "IN", business.Header.Get("Ergon-Dead-Stream"))
	require.Equal(t, "in.lines", business.Header.Get("Ergon-Dead-Subject"))
	require.Equal(t, "2", business.Header.Get("Ergon-Dead-Sequence"))
	require.Equal(t, "m=0 confirmed=0 unknown=0", business.Header.Get("Ergon-Dead-Outputs"))
	require.Len(t, business.Header.Get("Ergon-Dead-Trace-Id"), 32)

	require.Equal(t, "panic: boom", letters["panic"].Header.Get("Ergon-Dead-Reason"))
	require.Equal(t, "2", letters["panic"].Header.Get("Ergon-Dead-Attempts"))
	require.Empty(t, w.all(t, "OUT"))
	info, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
	require.NoError(t, err)
	require.Zero(t, info.AckPending, "a dead letter is stored, then its message is terminated")
}

// A long task keeps its lease: nothing is delivered twice.
func TestLongWorkKeepsItsLease(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`)})
	var calls atomic.Int64
	info := func() bus.Info {
		i, err := w.bus.ConsumerInfo(context.Background(), "IN", "task")
		if err != nil {
			t.Error(err)
		}
		return i
	}
	report, err := w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		calls.Add(1)
		for range 30 { // three leases long
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return out{}, context.Cause(ctx)
			}
			if i := info(); i.Redelivered > 0 {
				return out{}, ergon.Business("redelivered while it ran")
			}
		}
		return square(ctx, tx)
	}), time.Second, nil).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, calls.Load())
	require.EqualValues(t, 1, report.Succeeded)
	require.Zero(t, report.Lost)
}

// Until empty waits for what is leased to a process that died.
func TestUntilEmptyWaitsForTheDead(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`)}, &nats.Msg{Data: []byte(`{"n":2}`)})
	e := w.engine(t, task(square), time.Second, nil)
	// Another process takes one and is never heard of again.
	dead, err := w.bus.JetStream().Consumer(t.Context(), "IN", "task")
	require.NoError(t, err)
	taken, err := dead.Fetch(1)
	require.NoError(t, err)
	n := 0
	for range taken.Messages() {
		n++
	}
	require.Equal(t, 1, n)
	report, err := e.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Succeeded)
	require.Len(t, w.all(t, "OUT"), 2)
}

// A stop gives back what did not start, for another process to have at once.
func TestStopReleases(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.publish(t, &nats.Msg{Data: []byte(`{"n":` + strconv.Itoa(i) + `}`)})
	}
	ctx, stop := context.WithCancel(t.Context())
	started := make(chan struct{}, 40)
	first := w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
		started <- struct{}{}
		<-ctx.Done()
		return out{}, context.Cause(ctx)
	}), time.Minute, func(p *policy.Consumer) {
		p.Loop.Concurrency, p.Loop.Streaming = 4, true
		p.Shutdown.Grace = policy.Duration(time.Millisecond)
	})
	done := make(chan engine.Report)
	go func() {
		r, err := first.Run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	for range 4 {
		<-started
	}
	stop()
	report := <-done
	require.Zero(t, report.Abandoned)
	require.EqualValues(t, report.Fetched, report.Released)
	report, err := w.engine(t, task(square), time.Minute, nil).Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 40, report.Succeeded, "none waits for the minute of its lease")
}

// A dead letter that can't be stored keeps its message.
func TestDeadLetterStoreDown(t *testing.T) {
	w := newWorld(t)
	w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`)})
	down := errors.New("the store is down")
	var failing atomic.Bool
	failing.Store(true)
	s, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: w.bus, Task: "task", Consumer: bus.Consumer{Stream: "IN", Durable: "task"},
		DeadLetters: storeFunc(func(ctx context.Context, m *nats.Msg, l bus.DeadLetter, done func(error)) {
			if failing.Swap(false) {
				done(down)
				return
			}
			w.letters.Store(ctx, m, l, done)
		}),
	})
	require.NoError(t, err)
	var failures []engine.SettleFailed
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	e, err := engine.New(engine.Config{
		Task: engine.Consume("task", sinkless(func() error { return ergon.Business("no") })), Source: s, Policy: p,
		Observe: func(ev engine.Event) {
			if f, ok := ev.(engine.SettleFailed); ok {
				failures = append(failures, f)
			}
		},
	})
	require.NoError(t, err)
	report, err := e.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Dead)
	require.Len(t, failures, 1)
	require.ErrorIs(t, failures[0].Err, down)
	require.Len(t, w.all(t, "ERGON_DLQ"), 1)
}

type storeFunc func(context.Context, *nats.Msg, bus.DeadLetter, func(error))

func (f storeFunc) Store(ctx context.Context, m *nats.Msg, l bus.DeadLetter, done func(error)) {
	f(ctx, m, l, done)
}

type sinkless func() error

func (f sinkless) Process(context.Context, ergon.Transaction[in]) (ergon.None, error) {
	return ergon.None{}, f()
}

// What the engine allows reaches the server: more is delivered than a fetch has
// room for.
func TestPrefetchAsksAhead(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.publish(t, &nats.Msg{Data: []byte("1")})
	}
	w.change = func(c *jetstream.SourceConfig) { c.Parking = nil } // it would keep a share for what is due
	s := w.source(t, time.Minute)
	s.Prefetch(5)
	held, err := s.Fetch(t.Context(), 3)
	require.NoError(t, err)
	require.NotEmpty(t, held)
	require.Eventually(t, func() bool {
		info, err := w.bus.ConsumerInfo(t.Context(), "IN", "task")
		return err == nil && info.AckPending == 3+5
	}, 10*time.Second, time.Millisecond)
	for _, d := range held {
		d.Settle(ergon.Settlement{Kind: ergon.Ack}, func(err error) { require.NoError(t, err) })
	}
	require.NoError(t, s.Close(t.Context()))
}
