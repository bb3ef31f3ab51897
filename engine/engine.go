package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
)

// ErrLoopTimeout is returned by Run when loop.timeout was over: what ran was
// cancelled, settled and waited for (R079).
var ErrLoopTimeout = errors.New("loop timed out")

// Config is what an engine is made of.
type Config struct {
	// Task is what runs. Required.
	Task Task
	// Source brings the transactions; the engine owns it and closes it. Required.
	Source ergon.Source
	// Sinks are where the task's routes lead, by route. Each declared route needs
	// one, and a task that returns one value needs exactly one. The engine closes
	// them; one sink may serve several routes of this engine.
	Sinks map[string]ergon.Sink
	// Policy is the policy of a task that consumes. It is copied. The zero value
	// is not valid: start from policy.DefaultConsumer.
	Policy policy.Consumer
	// Producer is the policy of a task that produces, likewise; start from
	// policy.DefaultProducer.
	Producer policy.Producer
	// App names the application in the source of outputs: /ergon/<app>/<task>.
	// Default "app".
	App string
	// Connector names the source in the execution context and in events.
	Connector string
	// Observe, if set, is called with every event, synchronously and from many
	// goroutines at once. It must return quickly and must not call the engine.
	Observe func(Event)
	// Routine, if set, is asked before an event of a transaction that does well is
	// made for Observe: false spares it. Those events are Fetched, Started,
	// AttemptEnded without an error, and Finished of what succeeded or was merged;
	// five a transaction, which cost more than all else that is done for one, and
	// mostly nobody wants to hear of them. It is called from many goroutines at once.
	// Default: Observe hears of everything.
	Routine func() bool
	// Tracer, if set, is told of transactions, and makes their traces. Default: what
	// came with a transaction is handed on as it is.
	Tracer Tracer
	// Trail, if set, remembers deliveries that did not simply do well. Default: none
	// is remembered.
	Trail *Trail
	// Turns, if set, are shared with the other engines of the process: see there.
	// Default: this engine waits for no other.
	Turns *Turns
}

// Engine runs one task on one source. Make it with New, use Run once.
type Engine struct {
	task       Task
	source     string // of outputs
	in         ergon.Source
	routes     map[string]*route
	only       *route // the only one, for a task that returns one value
	policy     policy.Consumer
	connector  string
	observe    func(Event)
	routine    func() bool
	tracer     Tracer
	trail      *Trail
	made       time.Time
	routeNames []string // in order

	phases      [stepException + 1]*resilience.Phase
	fetchPhase  *resilience.Phase
	settleRetry policy.Retry

	guard      guard
	suspects   suspects
	health     health
	pulse      pulse
	over       atomic.Bool // Run has returned, or is about to
	runq       runq        // of attempts, for workers
	sendq      runq        // of what comes after long ones, for senders
	stats      stats
	goes       sync.WaitGroup   // retries, of attempts and of settlements
	pool       sync.WaitGroup   // workers
	held       atomic.Int64     // flights in the guard
	wake       chan struct{}    // something changed that the loop may wait for
	prefetcher ergon.Prefetcher // the source, if it is one
	asked      int              // of it, beyond a fetch; the fetch loop's
	turns      *Turns           // nil for none
	turnsHeld  holder
	backlog    ergon.Backlogger // the source, if it is one
	crowded    atomic.Bool      // the latest turn had to be waited for
	pace       pace
	hungry     atomic.Bool  // the loop waits for room
	lowLoad    atomic.Int64 // of the run queue, at which there is some
	// A lease came that is shorter than those before.
	shorter chan struct{}

	stranded atomic.Int64 // workers whose code was given up and has not returned
	breakOff func(error)  // ends fetching with an error
	sending  atomic.Int32 // calls of an AsyncSink that have not returned
	admitted atomic.Int64 // deliveries that count against the limit
	shortest atomic.Int64 // lease seen, in nanoseconds; 0 for none
	stopping atomic.Bool
	abort    chan struct{} // closed by Abort
	aborting sync.Once
	ran      atomic.Bool

	// Cancelled in this order at a stop; taking is Run's own context.
	work, publishing, settling                   context.Context
	cancelWork, cancelPublishing, cancelSettling context.CancelCauseFunc
}

type route struct {
	name string
	sink ergon.Sink
}

// New checks the configuration and returns an engine that has not begun. The
// error names every fault. On error nothing is closed.
func New(c Config) (*Engine, error) {
	c, policyErr := c.own()
	if err := errors.Join(c.Task.Err(), c.check(), policyErr); err != nil {
		return nil, err
	}
	e := &Engine{
		task: c.Task, source: "/ergon/" + cmpOr(c.App, "app") + "/" + c.Task.name,
		in: c.Source, policy: c.Policy, connector: c.Connector, observe: c.Observe, routine: c.Routine, tracer: c.Tracer, trail: c.Trail, made: time.Now(),
		routeNames: slices.Sorted(maps.Keys(c.Sinks)),
		prefetcher: prefetcherOf(c.Source), turns: c.Turns, backlog: backloggerOf(c.Source),
		routes: make(map[string]*route, len(c.Sinks)),
		wake:   make(chan struct{}, 1), shorter: make(chan struct{}, 1), abort: make(chan struct{}),
	}
	for name, sink := range c.Sinks {
		e.only = &route{name, sink}
		e.routes[name] = e.only
	}
	if len(c.Sinks) != 1 {
		e.only = nil
	}
	p := e.policy
	compile := func(phase ergon.Phase, p policy.Phase) *resilience.Phase {
		return resilience.Compile(p, func(open bool) { e.emit(BreakerChanged{Task: e.task.name, Phase: phase, Open: open}) })
	}
	e.phases[stepProcess] = compile(ergon.PhaseProcess, p.Process)
	e.phases[stepProduce] = compile(ergon.PhaseProduce, p.Produce)
	e.phases[stepSuccess] = compile(ergon.PhaseSuccess, p.Success)
	e.phases[stepException] = compile(ergon.PhaseException, p.Exception)
	e.fetchPhase = compile(ergon.PhaseFetch, policy.Phase{Retry: p.Fetch.Retry, Breaker: p.Fetch.Breaker})
	// A settlement has no end but its lease's, so only the waits matter here.
	e.settleRetry = policy.Retry{
		MaxAttempts: 1, BackoffMultiplier: 2,
		Backoff: policy.Duration(100 * time.Millisecond), BackoffCap: policy.Duration(5 * time.Second),
	}
	e.guard.m = make(map[txKey]*flight)
	e.runq.most, e.runq.slots = p.Loop.Concurrency, p.Loop.Concurrency
	e.runq.start = func() { e.pool.Go(func() { e.worker(true) }) }
	e.runq.freed = e.slotFreed
	e.runq.crew.begin(false, e.congested)
	e.sendq.most, e.sendq.slots = p.Loop.Concurrency, p.Loop.Concurrency
	e.sendq.start = func() { e.pool.Go(e.sender) }
	e.sendq.freed = func(int) {}
	e.sendq.crew.begin(true, e.congested)
	return e, nil
}

// Name is the task's.
func (e *Engine) Name() string { return e.task.name }

// Generation is that of the policy in force: ergon.Execution.Generation.
func (e *Engine) Generation() int { return generation }

// own returns the configuration with a policy that is the engine's own, in the
// consumer's form: one loop runs both kinds of task.
func (c Config) own() (Config, error) {
	var err error
	if c.Task.producer {
		if err = c.Producer.Validate(); err == nil {
			c.Policy = asConsumer(c.Producer)
		}
	} else if err = c.Policy.Validate(); err == nil {
		c.Policy = c.Policy.Clone()
	}
	if err != nil {
		err = fmt.Errorf("task %q: its policy: %w", c.Task.name, err)
	}
	return c, err
}

// asConsumer has no process phase to fill: a producer never enters it.
func asConsumer(p policy.Producer) policy.Consumer {
	p = p.Clone()
	c := policy.DefaultConsumer()
	c.Loop = p.Loop.Loop()
	c.Fetch = policy.Fetch{Retry: p.Fetch.Retry, Batch: p.Batch, Empty: c.Fetch.Empty, Breaker: p.Fetch.Breaker, Extra: p.Fetch.Extra}
	c.Transaction, c.Produce, c.Success, c.Exception, c.Shutdown = p.Transaction, p.Produce, p.Success, p.Exception, p.Shutdown
	return c
}

func (c Config) check() error {
	var faults []error
	name := c.Task.name
	fault := func(format string, a ...any) {
		faults = append(faults, fmt.Errorf("task %q: "+format, append([]any{name}, a...)...))
	}
	if c.Task.run == nil && c.Task.err == nil {
		fault("there is no task: make one with engine.Consume or engine.Produce")
	}
	if c.Source == nil {
		fault("it has no source")
	}
	for _, r := range slices.Sorted(maps.Keys(c.Sinks)) {
		if c.Sinks[r] == nil {
			fault("route %q has no sink", r)
		}
	}
	bound := slices.Sorted(maps.Keys(c.Sinks))
	for _, r := range c.Task.routes {
		if !slices.Contains(bound, r) {
			fault("route %q is not bound to a sink; bound are %q", r, bound)
		}
	}
	for _, r := range bound {
		if len(c.Task.routes) > 0 && !slices.Contains(c.Task.routes, r) {
			fault("route %q is bound and the task does not have it; it has %q", r, c.Task.routes)
		}
	}
	switch {
	case c.Task.silent && len(bound) > 0:
		fault("it sends nothing (its Out is ergon.None), and routes %q are bound", bound)
	case !c.Task.silent && !c.Task.many && len(c.Task.routes) == 0 && len(bound) != 1:
		fault("it returns one value and needs exactly one route, and %d are bound: %q", len(bound), bound)
	}
	return errors.Join(faults...)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// signal tells the loop that a slot or a place became free.
func (e *Engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// sender goes on with flights whose attempt took long, so that its slot is not held
// while its outputs are encoded and sent: where tasks wait for something, the next
// one's waiting begins earlier by that. It is a worker without user code.
func (e *Engine) sender() {
	w := &worker{parked: make(chan struct{}, 1), lastInLine: true}
	for fresh := true; ; fresh = false {
		f := e.sendq.next(w, fresh)
		if f == nil {
			return
		}
		f.attemptDone(nil)
	}
}

// congested reports whether what sends outputs waits for room in its transport. It
// counts this engine's calls alone: what others send says nothing of what keeps its
// own workers.
func (e *Engine) congested() bool { return int(e.sending.Load()) >= e.runq.crew.cores }

// inLine reports whether what follows an attempt has to stand in line however short it
// was: with one slot outputs are sent in the order of their inputs, and what a short
// one sent from its slot would overtake what the one sender has not sent yet.
func (e *Engine) inLine() bool { return e.policy.Loop.Concurrency == 1 && e.sendq.load.Load() > 0 }

// worker runs attempts until the queue is closed. fresh is false for one that
// takes the place of another.
func (e *Engine) worker(fresh bool) {
	var f *flight
	w := newWorker()
	defer func() {
		if f != nil && w.in != nil {
			// User code ended this goroutine. Without another one the transaction
			// would stay for ever, and a user's test hang instead of fail.
			e.pool.Go(func() {
				if f.left(w.in) {
					f.returned = time.Now()
					e.attemptEnded(f, 0, errGoexit)
					f.attemptDone(errGoexit)
				}
				e.worker(false)
			})
		}
	}()
	for ; ; fresh = false {
		if f = e.runq.next(w, fresh); f == nil {
			return
		}
		f.advance(w)
		f = nil // a worker that waits would keep it, and all that was fetched with it
	}
}
