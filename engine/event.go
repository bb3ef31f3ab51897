package engine

import (
	"time"

	"github.com/ergon-framework/ergon"
)

// Event is what the engine tells whoever observes it: one of the types in this
// file, and no others. Instruments, logs and test recorders are its consumers. Those
// that tell of a transaction have a Place, with the context to log them with.
type Event interface{ event() }

// Fetched says that a fetch brought deliveries.
type Fetched struct {
	Task  string
	Count int
}

// FetchFailed says that a fetch failed. It is tried again after Delay, unless
// Final: then the loop ends.
type FetchFailed struct {
	Task, Connector string
	Attempt         int
	Err             error
	Delay           time.Duration
	Final           bool
}

// Started says that a transaction's first attempt in this delivery begins.
type Started struct {
	Place
	Task        string
	Transaction ergon.Raw
	Info        ergon.DeliveryInfo
}

// AttemptEnded says how one attempt of a phase ended; Err is nil for success.
type AttemptEnded struct {
	Place
	Task        string
	Transaction ergon.Raw
	Phase       ergon.Phase
	Attempt     int // 1 for the first
	MaxAttempts int
	Duration    time.Duration
	Err         error
}

// RetryScheduled says that a failed attempt is followed by another, after Delay.
type RetryScheduled struct {
	Place
	Task        string
	Transaction ergon.Raw
	Phase       ergon.Phase
	Attempt     int // the one that failed
	MaxAttempts int
	Err         error
	Delay       time.Duration
}

// Deferring says that a failed attempt is followed by another after so long a delay
// that the transaction is stored with its source until then, instead of waiting
// here (transaction.redeliver_over).
type Deferring struct {
	Place
	Task        string
	Transaction ergon.Raw
	Attempt     int // the one that failed
	MaxAttempts int
	Err         error
	Delay       time.Duration
}

// SettleFailed says that the source did not take a settlement; it is tried again
// after Delay. Until then the transaction is kept.
type SettleFailed struct {
	Place
	Task        string
	Transaction ergon.Raw
	Kind        ergon.SettleKind
	Attempt     int
	Err         error
	Delay       time.Duration
}

// LeaseLost says that a transaction is somebody else's by now: what ran was
// cancelled, and nothing is sent or settled for it.
type LeaseLost struct {
	Place
	Task        string
	Transaction ergon.Raw
}

// Stuck says that an attempt ignored its cancelled context for After: its
// transaction ends TIMEOUT, its result counts for nothing, and its slot was given
// to another worker if Replaced. Stack is its goroutine's.
type Stuck struct {
	Place
	Task        string
	Transaction ergon.Raw
	Phase       ergon.Phase
	Attempt     int
	After       time.Duration
	Replaced    bool
	Stack       string
}

// Finished says that the engine is done with a delivery. Err is why, for Dead.
type Finished struct {
	Place
	Task        string
	Transaction ergon.Raw
	Outcome     Outcome
	Err         *ergon.Error
	HandlerErr  error         // of the exception hook
	Outputs     int           // that are stored
	Duration    time.Duration // since the first attempt began, 0 if none did
}

// StartNotRecorded says that a start could not be recorded with the source: if it
// kills the process, nobody will know (transaction.max_deliveries).
type StartNotRecorded struct {
	Place
	Task        string
	Transaction ergon.Raw
	Err         error
}

// HealthChanged says that something keeps the engine from its work, or, with a nil
// Err, that it works again.
type HealthChanged struct {
	Task string
	Err  error
}

// BreakerChanged says that a phase's circuit breaker opened, and nothing new is
// fetched until it lets a trial through, or that it closed.
type BreakerChanged struct {
	Task  string
	Phase ergon.Phase
	Open  bool
}

// Stopping says that the stop began and how many transactions are held.
type Stopping struct {
	Task string
	Held int
}

// Ended is the last event of an engine.
type Ended struct {
	Task   string
	Report Report
	Err    error
	// Abandoned are the IDs of what was held when it ended and comes again when its
	// lease ends; ten of them at most, in order.
	Abandoned []string
}

func (BreakerChanged) event()   {}
func (HealthChanged) event()    {}
func (StartNotRecorded) event() {}
func (Fetched) event()          {}
func (FetchFailed) event()      {}
func (Started) event()          {}
func (AttemptEnded) event()     {}
func (RetryScheduled) event()   {}
func (Deferring) event()        {}
func (SettleFailed) event()     {}
func (LeaseLost) event()        {}
func (Stuck) event()            {}
func (Finished) event()         {}
func (Stopping) event()         {}
func (Ended) event()            {}

// emit is for events off the path of a transaction that does well; on that path
// the observer is looked at first, so that nothing is built for nobody.
func (e *Engine) emit(ev Event) {
	switch ev.(type) {
	case LeaseLost:
		e.stats.leasesLost.Add(1)
	case SettleFailed:
		e.stats.settleFailures.Add(1)
	}
	if e.observe != nil {
		e.observe(ev)
	}
}

// tells reports whether an event is to be made; routine says that it is of a
// transaction that does well.
func (e *Engine) tells(routine bool) bool {
	return e.observe != nil && (!routine || e.routine == nil || e.routine())
}

// begun counts a transaction whose first attempt begins.
func (e *Engine) begun(f *flight) {
	e.stats.started.Add(1)
	if e.tells(true) {
		e.observe(Started{Place: f.whole(), Task: e.task.name, Transaction: f.raw, Info: f.info})
	}
}

func (e *Engine) attemptEnded(f *flight, took time.Duration, err error) {
	e.stats.attemptEnded(f, took, err)
	if f.tracing != nil || f.notes != nil || err != nil && e.trail != nil {
		f.note(AttemptRecord{
			Phase: f.step.phase(), Attempt: f.n, MaxAttempts: e.phases[f.step].MaxAttempts(),
			Began: f.returned.Add(-took), Ended: f.returned, Err: err, Span: f.span,
		})
	}
	if e.tells(err == nil) {
		e.observe(AttemptEnded{
			Place: f.here(), Task: e.task.name, Transaction: f.raw, Phase: f.step.phase(), Attempt: f.n,
			MaxAttempts: e.phases[f.step].MaxAttempts(), Duration: took, Err: err,
		})
	}
}

func (e *Engine) retryScheduled(f *flight, failed int, err error, delay time.Duration) {
	p := &e.stats.phases[f.step]
	p.retries.Add(1)
	p.backoff.Record(delay)
	f.delayed(delay)
	if e.observe != nil {
		e.observe(RetryScheduled{
			Place: f.here(), Task: e.task.name, Transaction: f.raw, Phase: f.step.phase(), Attempt: failed,
			MaxAttempts: e.phases[f.step].MaxAttempts(), Err: err, Delay: delay,
		})
	}
}

// lasted is how long the flight took. An acknowledgement that nothing is waited for
// was handed over when the last step ended, and the clock need not be read again.
func (f *flight) lasted(outcome Outcome) time.Duration {
	if outcome == Succeeded && !f.e.policy.Transaction.ConfirmAck {
		return f.returned.Sub(f.began)
	}
	return time.Since(f.began)
}

func (e *Engine) finished(f *flight, outcome Outcome) {
	var took time.Duration
	if !f.began.IsZero() {
		took = f.lasted(outcome)
	} else {
		e.admitted.Add(-1) // it never ran: it does not count against the limit
	}
	e.stats.finished(f, outcome, took, e.stopping.Load())
	f.endTrace(outcome)
	confirmed := f.box().confirmed()
	e.stats.outputs.Add(int64(confirmed))
	if e.tells(outcome == Succeeded || outcome == Merged) {
		ev := Finished{Place: f.whole(), Task: e.task.name, Transaction: f.raw, Outcome: outcome, Outputs: confirmed, Duration: took}
		if t := f.trouble; t != nil {
			ev.Err, ev.HandlerErr = t.err, t.handlerErr
		}
		e.observe(ev)
	}
}
