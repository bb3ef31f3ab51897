package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// benchRun is a bench under way.
type benchRun struct {
	*bench
	conn  *app.Conn
	log   *slog.Logger
	force <-chan struct{}
	name  string // of its streams
	began time.Time

	stored, outputs, failed atomic.Int64
	gaveUp                  atomic.Bool // the bus stores nothing any more
	toStored, toOutput      histogram
	sent                    int64         // read once it has published
	published               time.Duration // until the last one was confirmed
	all                     time.Duration // until the last output was
	cost                    benchCost
	came                    chan struct{} // receives when an output is stored
	ended                   chan struct{} // closed when the engine has
	showing                 func(line func() string) (stop func())

	mu  sync.Mutex
	err error // the first
}

// benchCost is what the run took of this process.
type benchCost struct {
	cpu         time.Duration
	peak        int64
	known       bool // cpu and peak
	allocations int64
}

// noLetters is the dead-letter store of a task that can't fail. A letter all the same
// is kept nowhere, so its message is not given up.
type noLetters struct{ r *benchRun }

func (n noLetters) Store(_ context.Context, _ *nats.Msg, l bus.DeadLetter, done func(error)) {
	err := fmt.Errorf("%s in %s: %s", l.Category, l.Phase, l.Reason)
	n.r.fail(err)
	done(err)
}

// passOn is the task.
type passOn struct{}

func (passOn) Process(_ context.Context, tx ergon.Transaction[[]byte]) ([]byte, error) {
	return tx.Payload(), nil
}

func (r *benchRun) in() string  { return "ergon.bench." + strings.ToLower(r.name) + ".in" }
func (r *benchRun) out() string { return "ergon.bench." + strings.ToLower(r.name) + ".out" }

// makeStreams makes the streams, under a name that nobody else has.
func (r *benchRun) makeStreams(ctx context.Context) error {
	r.name = ergon.New(ergon.None{}).ID()
	r.name = strings.ReplaceAll(r.name, "-", "")
	_, err := r.conn.Ensure(ctx, bus.Topology{Streams: []bus.Stream{
		{Name: r.stream("IN"), Description: "of an ergon bench", Subjects: []string{r.in()}, Storage: r.storage, Replicas: r.replicas},
		{Name: r.stream("OUT"), Description: "of an ergon bench", Subjects: []string{r.out()}, Storage: r.storage, Replicas: r.replicas},
	}})
	if err != nil {
		return errors.Join(err, r.dropStreams(context.WithoutCancel(ctx)))
	}
	return nil
}

func (r *benchRun) stream(which string) string { return "ERGON_BENCH_" + r.name + "_" + which }

func (r *benchRun) dropStreams(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeWithin)
	defer cancel()
	var errs []error
	for _, which := range []string{"IN", "OUT"} {
		err := r.conn.JetStream().DeleteStream(ctx, r.stream(which))
		if err != nil && !isNoStream(err) {
			errs = append(errs, fmt.Errorf("delete the stream %s: %w: delete it by hand", r.stream(which), err))
		}
	}
	return errors.Join(errs...)
}

// run publishes, and has it passed on meanwhile. It returns when all that was stored
// has come out, or was waited for long enough.
func (r *benchRun) run(ctx context.Context) error {
	r.came, r.ended = make(chan struct{}, 1), make(chan struct{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, _, _ := processCost()
	finish := func() error { return nil }
	if !r.publishOnly {
		var err error
		if finish, err = r.startTask(ctx); err != nil {
			return err
		}
	}
	r.began = time.Now()
	shown := r.showing(r.line)
	err := r.publish(ctx)
	if r.published = time.Since(r.began); err == nil && !r.publishOnly {
		r.drain()
	}
	r.all = time.Since(r.began)
	shown()
	end, peak, known := processCost()
	runtime.ReadMemStats(&after)
	r.cost = benchCost{end - cpu, peak, known, int64(after.TotalAlloc - before.TotalAlloc)}
	return errors.Join(err, finish())
}

// startTask starts an engine of its own: a run of app would look after streams for dead
// letters and parking too, which are not this command's to make.
func (r *benchRun) startTask(ctx context.Context) (finish func() error, err error) {
	source, err := jetstream.NewSource(ctx, jetstream.SourceConfig{
		Bus: r.conn.Bus, Task: "bench", DeadLetters: noLetters{r}, Logger: r.log,
		Consumer: bus.Consumer{Stream: r.stream("IN"), Durable: "bench"},
	})
	if err != nil {
		return nil, err
	}
	p := policy.DefaultConsumer()
	p.Loop.Concurrency, p.Loop.Window = r.concurrency, max(p.Loop.Window, r.concurrency)
	pub, err := r.conn.NewPublisher(bus.PublisherConfig{Window: p.Loop.Window})
	if err != nil {
		return nil, errors.Join(err, source.Close(ctx))
	}
	sink, err := jetstream.NewSink(pub, r.out(), jetstream.InStream(r.stream("OUT")), jetstream.Telling(r.cameOut))
	if err != nil {
		return nil, errors.Join(err, pub.Close(ctx), source.Close(ctx))
	}
	e, err := engine.New(engine.Config{
		Task: engine.Consume("bench", passOn{}), Source: source, Sinks: map[string]ergon.Sink{"out": sink}, Policy: p,
		App: "bench", Connector: "jetstream",
	})
	if err != nil {
		return nil, errors.Join(err, pub.Close(ctx), source.Close(ctx))
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ballast := engine.NewBallast(1) // as a run of app has it
	var failed error                // read once it has ended
	go func() {
		defer close(r.ended)
		_, failed = e.Run(running)
	}()
	go func() {
		select {
		case <-r.force:
			e.Abort()
		case <-running.Done():
		}
	}()
	return func() error {
		stop()
		if r.gaveUp.Load() {
			e.Abort() // a drain would try to store what can't be stored
		}
		<-r.ended
		ballast.Release()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		return errors.Join(failed, pub.Close(closing))
	}, nil
}

// cameOut is told of each output that is stored.
func (r *benchRun) cameOut(tx ergon.Raw, _ bool) {
	if due, ok := dueOf(tx.Payload()); ok {
		r.toOutput.record(time.Since(r.began) - due)
	}
	r.outputs.Add(1)
	select {
	case r.came <- struct{}{}:
	default:
	}
}

// drain waits until all that is stored has come out.
func (r *benchRun) drain() {
	patience := time.NewTimer(r.drainTime())
	defer patience.Stop()
	for r.missing() > 0 {
		select {
		case <-r.came:
		case <-r.ended:
			return
		case <-patience.C:
			return
		case <-r.force:
			return
		}
	}
}

// drainTime is how long what was stored may take to come out. Where the bus takes
// nothing any more it is short: outputs have to be stored too.
func (r *benchRun) drainTime() time.Duration {
	if r.gaveUp.Load() {
		return closeWithin
	}
	return benchDrain
}

// missing is how many have not come out.
func (r *benchRun) missing() int64 {
	if r.publishOnly {
		return 0
	}
	return max(r.stored.Load()-r.outputs.Load(), 0)
}

func (r *benchRun) fail(err error) {
	r.failed.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (r *benchRun) firstError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return errors.New("the log may say why")
	}
	return r.err
}
