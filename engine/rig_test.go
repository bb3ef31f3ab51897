package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// plain is a task without hooks.
type plain[In, Out any] func(context.Context, ergon.Transaction[In]) (Out, error)

func (f plain[In, Out]) Process(ctx context.Context, tx ergon.Transaction[In]) (Out, error) {
	return f(ctx, tx)
}

// hooked is a task with both hooks; a nil one does nothing.
type hooked[In, Out any] struct {
	process   func(context.Context, ergon.Transaction[In]) (Out, error)
	success   func(context.Context, ergon.Transaction[In], Out) error
	exception func(context.Context, ergon.Transaction[In], *ergon.Error) error
}

func (h *hooked[In, Out]) Process(ctx context.Context, tx ergon.Transaction[In]) (Out, error) {
	return h.process(ctx, tx)
}

func (h *hooked[In, Out]) HandleSuccess(ctx context.Context, tx ergon.Transaction[In], out Out) error {
	if h.success == nil {
		return nil
	}
	return h.success(ctx, tx, out)
}

func (h *hooked[In, Out]) HandleException(ctx context.Context, tx ergon.Transaction[In], exc *ergon.Error) error {
	if h.exception == nil {
		return nil
	}
	return h.exception(ctx, tx, exc)
}

// consume registers a function as a task.
func consume[In, Out any](f func(context.Context, ergon.Transaction[In]) (Out, error), opts ...engine.TaskOption) engine.Task {
	return engine.Consume[In, Out]("score", plain[In, Out](f), opts...)
}

// rig is an engine between a queue and a sink, all in memory. The fields are
// changed before the first call of a method.
type rig struct {
	task   engine.Task
	policy policy.Consumer
	queueO memory.QueueOptions
	sinkO  memory.SinkOptions
	source ergon.Source // instead of the queue's
	routes ergon.Sink   // instead of the sink, for every route

	once    sync.Once
	queue   *memory.Queue
	sink    *memory.Sink
	events  recorder
	routine func() bool
	tracer  engine.Tracer
	trail   *engine.Trail
	turns   *engine.Turns
}

// newRig returns a rig that ends once its queue is drained, retries three times
// after 100, 200 and 400 ms, and has no jitter.
func newRig(task engine.Task) *rig {
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	p.Loop.Concurrency = 4
	p.Process.Retry = policy.Retry{
		MaxAttempts: 4, Timeout: dur(10 * time.Second),
		Backoff: dur(100 * time.Millisecond), BackoffMultiplier: 2, BackoffCap: dur(time.Minute),
	}
	p.Produce.Retry = p.Process.Retry
	return &rig{task: task, policy: p}
}

func (r *rig) make() {
	r.once.Do(func() { r.queue, r.sink = memory.NewQueue(r.queueO), memory.NewSink(r.sinkO) })
}

// push puts transactions with these IDs into the queue; the payload of each is
// its ID as JSON.
func (r *rig) push(ids ...string) {
	r.make()
	for _, id := range ids {
		r.queue.Push(raw(id, fmt.Sprintf("%q", id)))
	}
}

// engine makes a new engine on the queue: a restart of the process.
func (r *rig) engine(t testing.TB) *engine.Engine {
	t.Helper()
	r.make()
	c := engine.Config{
		Task: r.task, Source: r.source, Policy: r.policy, Producer: policy.DefaultProducer(), App: "test", Connector: "memory",
		Sinks: map[string]ergon.Sink{}, Observe: r.events.observe, Routine: r.routine, Tracer: r.tracer, Trail: r.trail, Turns: r.turns,
	}
	if c.Source == nil {
		c.Source = r.queue.Source()
	}
	sink := r.routes
	if sink == nil {
		sink = keptOpen{r.sink}
	}
	for _, route := range r.task.Routes() {
		c.Sinks[route] = sink
	}
	if r.task.Sends() && len(c.Sinks) == 0 {
		c.Sinks["out"] = sink
	}
	e, err := engine.New(c)
	require.NoError(t, err)
	return e
}

// keptOpen is a sink that the next engine can use again.
type keptOpen struct{ sink *memory.Sink }

func (k keptOpen) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	k.sink.Send(ctx, tx, done)
}
func (k keptOpen) Close(context.Context) error { return nil }

// run runs an engine to its end.
func (r *rig) run(t testing.TB) engine.Report {
	t.Helper()
	report, err := r.engine(t).Run(t.Context())
	require.NoError(t, err)
	return report
}

// start runs an engine beside the test. wait stops it if stop is true, and
// returns what Run did.
func (r *rig) start(t testing.TB) (e *engine.Engine, wait func(stop bool) (engine.Report, error)) {
	t.Helper()
	e = r.engine(t)
	ctx, cancel := context.WithCancel(t.Context())
	var report engine.Report
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		report, err = e.Run(ctx)
	}()
	return e, func(stop bool) (engine.Report, error) {
		if stop {
			cancel()
		}
		<-ended
		cancel()
		return report, err
	}
}

// only returns the one dead letter.
func (r *rig) onlyDead(t testing.TB) memory.Settled {
	t.Helper()
	dead := r.queue.DeadLetters()
	require.Len(t, dead, 1)
	return dead[0]
}

// raw is a transaction with a payload of JSON.
func raw(id, payload string) ergon.Raw {
	return ergon.New([]byte(payload), ergon.WithID(id), ergon.WithSource("test"))
}

// recorder keeps every event.
type recorder struct {
	mu   sync.Mutex
	all  []engine.Event
	also func(engine.Event) // told of each too
}

func (r *recorder) observe(ev engine.Event) {
	if r.also != nil {
		r.also(ev)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, ev)
}

// eventsOf returns the events of one type, in their order.
func eventsOf[E engine.Event](r *rig) []E {
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	var out []E
	for _, ev := range r.events.all {
		if e, ok := ev.(E); ok {
			out = append(out, e)
		}
	}
	return out
}

// history is a list that many goroutines write to.
type history struct {
	mu    sync.Mutex
	lines []string
}

func (h *history) add(format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, a...))
}

func (h *history) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.lines...)
}

// gauge counts what is going on at once, and remembers the most.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
}

func (g *gauge) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now--
}

func (g *gauge) peak() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most
}

func dur(d time.Duration) policy.Duration { return policy.Duration(d) }

// names makes n IDs.
func names(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("tx-%03d", i)
	}
	return ids
}
