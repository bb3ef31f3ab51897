package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

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

// Runner runs the configured tasks, each in an engine of its own. A task that fails is
// started again; one that ends or fails does not take the others with it. See
// config.Runner for when it gives up, and Err for why.
type Runner struct {
	opts     Options
	log      *slog.Logger
	tasks    []bound
	services []service

	shared  *Bus
	conn    *Conn
	letters *bus.Publisher // of dead letters
	web     atomic.Pointer[web]
	ballast *engine.Ballast
	turns   *engine.Turns
	fleet   *fleet
	observed
	told

	stopped sync.Once
}

type runnerIn struct {
	fx.In
	Options  Options
	Tasks    Registered
	Services []service `group:"ergon.services"`
	Setups   *setups
	Bus      *Bus
}

// NewRunner checks that tasks and configuration fit together. The error is a
// *WiringError with every fault. Nothing is opened yet.
func NewRunner(in runnerIn) (*Runner, error) {
	r := &Runner{
		opts: in.Options, log: orNowhere(in.Options.Logger), services: in.Services, shared: in.Bus, turns: engine.NewTurns(),
	}
	sortServices(r.services)
	var err error
	r.tasks, err = bind(in.Tasks, in.Options)
	if faults := append(in.Setups.faults(), seamFaults(r.services)...); len(faults) > 0 {
		if wiring, ok := errors.AsType[*WiringError](err); ok {
			faults = append(wiring.Faults, faults...)
		}
		return nil, &WiringError{faults}
	}
	if err != nil {
		return nil, err
	}
	// The context of a start bounds the start alone, and values of it are nobody's.
	r.fleet = newFleet(context.Background(), in.Options.Config.Runner, r.log)
	r.fleet.stopTime = r.engineStopTime()
	r.leftOut(in.Tasks)
	for _, w := range in.Tasks.Advice(in.Options.Config) {
		if wanted(in.Options, strings.Split(w.Path, ".")[1]) {
			r.log.Warn(w.String())
		}
	}
	return r, nil
}

// Start opens the bus, if no service has, makes sure of streams and consumers, and
// starts every task. ctx bounds the start alone. On error everything that was opened
// is closed again.
func (r *Runner) Start(ctx context.Context) (err error) {
	ctx, uninterrupted := r.opts.interruptible(ctx)
	defer uninterrupted()
	r.ballast = engine.NewBallast(len(r.tasks))
	defer func() {
		if err != nil {
			r.fleet.stop()
			err = errors.Join(err, r.close(ctx))
			close(r.fleet.done)
		}
	}()
	if err := r.tellRun(ctx); err != nil {
		return err
	}
	if err := r.observeRun(); err != nil {
		return err
	}
	if r.conn, err = r.shared.open(ctx); err != nil {
		return err
	}
	r.bus.Store(r.conn)
	if err := r.ensure(ctx); err != nil {
		return err
	}
	if r.letters, err = r.conn.NewPublisher(bus.PublisherConfig{Window: 256}); err != nil {
		return err
	}
	if err := r.openWeb(ctx); err != nil {
		return err
	}
	for _, t := range r.tasks {
		l, err := r.life(ctx, t)
		if err != nil {
			return fmt.Errorf("task %q: %w", t.task.Name(), err)
		}
		r.fleet.lives = append(r.fleet.lives, l)
	}
	// What comes before the engines run, a moment from now, waits for them.
	if err := r.web.Load().start(ctx, r.log); err != nil {
		return err
	}
	r.startedAll()
	r.fleet.onStop(r.web.Load().drain)
	r.fleet.run()
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

// life makes a task's first engine.
func (r *Runner) life(ctx context.Context, t bound) (*life, error) {
	p, err := r.parts(ctx, t)
	if err != nil {
		return nil, err
	}
	return &life{
		bound: t, rules: r.opts.Config.Runner, log: r.log, fatal: r.fleet.fail, now: p, closed: r.web.Load().done(t.task.Name()),
		make: func(ctx context.Context, t bound) (*parts, error) {
			if err := r.ensureSource(ctx, t); err != nil {
				return nil, err
			}
			return r.parts(ctx, t)
		},
	}, nil
}

// ensureSource makes the stream of a task's source if it is missing: of one that was
// deleted a task that is started again can't make its consumer.
func (r *Runner) ensureSource(ctx context.Context, t bound) error {
	for _, s := range r.opts.Config.Topology() {
		if js := t.config.Source.JetStream; js != nil && s.Name == js.Stream {
			_, err := r.conn.EnsureStream(ctx, s)
			return err
		}
	}
	return nil
}

// parts makes a task's source, sinks and engine.
func (r *Runner) parts(ctx context.Context, t bound) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	source, err := r.source(ctx, t, p)
	if err != nil {
		return nil, err
	}
	p.source = source
	sinks, err := r.sinks(t, p)
	if err != nil {
		return nil, errors.Join(err, source.Close(ctx))
	}
	connector, routine := "jetstream", r.routine()
	if t.config.Source.Answers() {
		connector = "http"
	}
	tell := teller(r.web.Load().outcomes[t.task.Name()])
	if tell != nil { // that of every transaction
		routine = nil
	}
	p.engine, err = engine.New(engine.Config{
		Task: t.task, Source: source, Sinks: sinks, Policy: t.policy, Producer: t.prod,
		App: r.opts.Config.App, Connector: connector, Observe: observers(observers(r.observe, r.opts.Observe), tell), Routine: routine,
		Tracer: r.tracer(t), Trail: r.trail, Turns: r.turns,
	})
	if err != nil {
		return nil, errors.Join(err, source.Close(ctx))
	}
	return p, nil
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
