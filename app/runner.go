package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/engine"
)

// Options say what a Runner runs. Config is required, the rest may be zero.
type Options struct {
	// Config is the configuration. It must not be changed afterwards.
	Config *config.Config
	// Only names the tasks to run; none means all that are configured.
	Only []string
	// UntilEmpty ends each task once its source is drained and no task that feeds
	// it runs any more.
	UntilEmpty bool
	// Feeding, if set, is closed when whoever publishes to the tasks' sources is
	// done; UntilEmpty waits for it. Default: nobody is waited for.
	Feeding <-chan struct{}
	// Limit, if over 0, replaces loop.limit of every task.
	Limit int64
	// Logger gets everything. Default: nowhere.
	Logger *slog.Logger
	// Observe is called with every engine's events; see engine.Config.
	Observe func(engine.Event)
	// Conn is an open bus to use; its owner closes it. Default: one is opened as
	// Config says, and closed by Stop.
	Conn *Conn
	// Interrupt, if set, is a context whose end cuts a start short that is under way.
	Interrupt context.Context
	// Telemetry is to be told of the run; its owner shuts it down afterwards. Default:
	// one is made as Config says, and shut down by Stop.
	Telemetry *Telemetry
}

// ExitCode of a run.
const (
	ExitDone      = 0 // done, or stopped with a clean drain
	ExitFailed    = 1 // a task failed
	ExitAbandoned = 3 // something was not settled when the run ended
)

// Runner runs the configured tasks, each in an engine of its own.
type Runner struct {
	opts  Options
	log   *slog.Logger
	tasks []bound

	conn    *Conn
	letters *bus.Publisher // of dead letters
	ballast *engine.Ballast
	closers []func(context.Context) error
	engines []*engine.Engine
	lost    []func() error // by engine: what its source lost, see jetstream.Source.Lost
	observed
	told

	stop    context.CancelFunc // ends fetching
	wg      sync.WaitGroup
	done    chan struct{}
	stopped sync.Once

	mu      sync.Mutex
	reports []engine.Report
	err     error
}

type runnerIn struct {
	fx.In
	Options Options
	Tasks   Registered
}

// NewRunner checks that tasks and configuration fit together. The error is a
// *WiringError with every fault. Nothing is opened yet.
func NewRunner(in runnerIn) (*Runner, error) {
	r := &Runner{opts: in.Options, log: in.Options.Logger, done: make(chan struct{})}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var err error
	r.tasks, err = bind(in.Tasks, in.Options)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Start opens the bus, makes sure of streams and consumers, and starts every
// task. ctx bounds the start alone. On error everything that was opened is
// closed again.
func (r *Runner) Start(ctx context.Context) (err error) {
	if by := r.opts.Interrupt; by != nil {
		interruptible, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(by, func() { cancel(context.Cause(by)) })()
		ctx = interruptible
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop, r.ballast = stop, engine.NewBallast()
	defer func() {
		if err != nil {
			stop()
			err = errors.Join(err, r.close(ctx))
			close(r.done)
		}
	}()
	if err := r.tellRun(ctx); err != nil {
		return err
	}
	if err := r.observeRun(running); err != nil {
		return err
	}
	if r.conn = r.opts.Conn; r.conn == nil {
		if r.conn, err = Open(ctx, r.opts.Config.Bus, r.log); err != nil {
			return err
		}
	}
	r.bus.Store(r.conn)
	if err := r.ensure(ctx); err != nil {
		return err
	}
	if r.letters, err = r.conn.NewPublisher(bus.PublisherConfig{Window: 256}); err != nil {
		return err
	}
	r.closers = append(r.closers, r.letters.Close)
	for _, t := range r.tasks {
		e, err := r.engine(ctx, t)
		if err != nil {
			return fmt.Errorf("task %q: %w", t.task.Name(), err)
		}
		r.engines = append(r.engines, e)
	}
	r.startedAll()
	for i, e := range r.engines {
		r.wg.Go(func() { r.run(running, r.tasks[i], e, r.lost[i]) })
	}
	go func() {
		r.wg.Wait()
		close(r.done)
	}()
	return nil
}

// ensure makes the streams that are missing. What exists is left alone, and
// what differs from the declaration is said.
func (r *Runner) ensure(ctx context.Context) error {
	cfg := r.opts.Config
	changes, err := r.conn.Ensure(ctx, bus.Topology{Streams: append(cfg.Topology(), cfg.DeadLetterStreams()...)})
	for _, c := range changes {
		switch {
		case c.Kind == bus.Differs, len(c.Warnings) > 0:
			r.log.Warn("stream is not as declared, and was left as it is", "change", c.String())
		case c.Kind == bus.Created:
			r.log.Info("stream created", "stream", c.Name)
		}
	}
	return err
}

// run is one task's life.
func (r *Runner) run(ctx context.Context, t bound, e *engine.Engine, lost func() error) {
	defer close(t.ended)
	report, err := e.Run(ctx)
	if err == nil && r.opts.UntilEmpty {
		if err = lost(); err != nil { // it is empty, but not since all was done
			err = fmt.Errorf("task %q: %w", t.task.Name(), err)
		}
	}
	r.mu.Lock()
	r.reports = append(r.reports, report)
	if err != nil {
		r.err = errors.Join(r.err, err)
	}
	r.mu.Unlock()
	if err != nil {
		// The others are drained: a process that lost one of its tasks and looks
		// healthy is worse than one that ends and says why.
		r.stop()
	}
}

// Done is closed when every task has ended, or the start has failed.
func (r *Runner) Done() <-chan struct{} { return r.done }

// Conn is the bus, once Start has returned.
func (r *Runner) Conn() *Conn { return r.conn }

// Abort cuts a drain short: see engine.Engine.Abort.
func (r *Runner) Abort() {
	for _, e := range r.engines {
		e.Abort()
	}
}

// StopTime is how long Stop may take.
func (r *Runner) StopTime() time.Duration {
	longest := time.Duration(0)
	for _, t := range r.tasks {
		longest = max(longest, engine.StopTime(t.policy.Shutdown), engine.StopTime(t.prod.Shutdown))
	}
	return longest + stopReserve + telemetryReserve
}

// Stop drains every task, and closes what Start opened. When ctx ends the drain
// is cut short. It is idempotent.
func (r *Runner) Stop(ctx context.Context) error {
	var err error
	r.stopped.Do(func() {
		r.stop()
		select {
		case <-r.done:
		case <-ctx.Done():
			r.Abort()
			<-r.done
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopReserve)
		defer cancel()
		err = r.close(closing)
	})
	return err
}

func (r *Runner) close(ctx context.Context) error {
	var errs []error
	for _, closer := range slices.Backward(r.closers) {
		errs = append(errs, closer(ctx))
	}
	if r.conn != nil && r.opts.Conn == nil {
		errs = append(errs, r.conn.Close(ctx))
	}
	r.ballast.Release()
	return errors.Join(append(errs, r.closeAdmin(ctx), r.closeTelemetry(ctx))...)
}

// Reports are what the tasks did, by name; of those that have ended.
func (r *Runner) Reports() []engine.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	reports := slices.Clone(r.reports)
	slices.SortFunc(reports, func(a, b engine.Report) int { return strings.Compare(a.Task, b.Task) })
	return reports
}

// Snapshots are what the tasks are doing now, by name.
func (r *Runner) Snapshots() []engine.Snapshot {
	all := make([]engine.Snapshot, len(r.engines))
	for i, e := range r.engines {
		all[i] = e.Snapshot()
	}
	return all
}

// Err is why tasks failed, nil if none did.
func (r *Runner) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// ExitCode is what the process should end with.
func (r *Runner) ExitCode() int {
	if r.Err() != nil {
		return ExitFailed
	}
	for _, report := range r.Reports() {
		if report.Abandoned > 0 {
			return ExitAbandoned
		}
	}
	return ExitDone
}

// engine makes a task's source, sinks and engine.
func (r *Runner) engine(ctx context.Context, t bound) (*engine.Engine, error) {
	source, err := r.source(ctx, t)
	if err != nil {
		return nil, err
	}
	sinks, err := r.sinks(t)
	if err != nil {
		return nil, errors.Join(err, source.Close(ctx))
	}
	e, err := engine.New(engine.Config{
		Task: t.task, Source: source, Sinks: sinks, Policy: t.policy, Producer: t.prod,
		App: r.opts.Config.App, Connector: "jetstream", Observe: observers(r.observe, r.opts.Observe), Routine: r.routine(),
		Tracer: r.tracer(t), Trail: r.trail,
	})
	if err != nil {
		return nil, errors.Join(err, source.Close(ctx))
	}
	return e, nil
}

// routine says when events of transactions that do well are wanted; nil is always.
func (r *Runner) routine() func() bool {
	if r.opts.Observe != nil {
		return nil
	}
	return engine.LogsRoutine(r.log)
}

func observers(a, b func(engine.Event)) func(engine.Event) {
	if b == nil {
		return a
	}
	return func(ev engine.Event) { a(ev); b(ev) }
}
