package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// step is the part of its life that a flight is in or waits for.
type step uint8

const (
	stepStart step = iota // not begun
	stepProcess
	stepProduce
	stepSuccess
	stepException
	stepSettle
)

// phase returns the step's name as errors and telemetry show it.
func (s step) phase() ergon.Phase {
	switch s {
	case stepStart, stepProcess:
		return ergon.PhaseProcess
	case stepProduce:
		return ergon.PhaseProduce
	case stepSuccess:
		return ergon.PhaseSuccess
	case stepException:
		return ergon.PhaseException
	}
	return ergon.PhaseSettle
}

// The causes for which an attempt's context ends.
var (
	errAttemptTimeout     = errors.New("attempt timed out")
	errTransactionTimeout = errors.New("transaction timed out")
	errStopping           = errors.New("the engine is stopping")
	errGoexit             = errors.New("the task's code ended its goroutine (runtime.Goexit, or FailNow in a test)")
)

// flight is one transaction on its way through the engine.
//
// One goroutine at a time advances it: a worker, the goroutine of its retries,
// or a callback of a connector; each hands it to the next through the run queue
// or a channel. What others touch as well stands under mu: the sweeper extends
// the newest delivery and cancels what lost its lease, the guard replaces the
// delivery.
type flight struct {
	e    *Engine
	raw  ergon.Raw
	info ergon.DeliveryInfo // of the first delivery; FirstSeen is the transaction's Now
	next *flight            // in the run queue

	turn    *turn        // that brought it, nil for none
	fetched *FetchRecord // likewise; nil without a tracer
	tracing Tracing      // nil without a tracer, and until it begins
	notes   *notes       // for its trace, nil for one that is not told of
	span    SpanID       // of the attempt that runs, zero if it is not told of

	out atomic.Pointer[outbox] // nil until there is something to send

	mu       sync.Mutex
	lost     atomic.Bool      // its lease is gone; set under mu
	stuck    int32            // calls that were given up and have not returned
	taken    bool             // its settlement was handed to the source
	overdue  bool             // its settlement's answer is, since the lease seems to be gone
	over     bool             // the flight has ended
	step     step             // its goroutine's, as all that follows mu's part
	delivery ergon.Delivery   // the newest
	extendAt time.Time        // zero: no lease to keep
	try      *settleTry       // the settlement that is not answered yet
	running  *attempt.Context // of what runs or waits now
	calling  *codeCall        // user code that has the flight

	n        int // number of the step's attempt, 1 for the first
	outcome  Outcome
	began    time.Time // when the first attempt began
	deadline time.Time // of the transaction, zero for none
	returned time.Time // when the latest attempt ended
	result   any
	trouble  *trouble // nil for one that does well
	firstTry settleTry
	first    attempted
}

// trouble is what a flight needs when something went wrong: most have none.
type trouble struct {
	reply      chan error       // takes the attempt's result when a retry waits for it
	base       *attempt.Context // of the retry, the attempts' parent; nil for the first attempt
	err        *ergon.Error     // why it failed for good
	handlerErr error
	failedAt   time.Time
	phaseBegan time.Time        // whose latest attempt failed
	settlement ergon.Settlement // its kind is 0 until it is to be one that is no Ack
	retries    int              // of the settlement
	recorder   ergon.StartRecorder
}

// inTrouble returns the flight's trouble, which its goroutine alone touches.
func (f *flight) inTrouble() *trouble {
	if f.trouble == nil {
		f.trouble = &trouble{}
	}
	return f.trouble
}

// base is the context of the retry that the attempt is part of, nil for none.
func (f *flight) base() *attempt.Context {
	if f.trouble == nil {
		return nil
	}
	return f.trouble.base
}

// newFlight wraps a delivery.
func newFlight(e *Engine, d ergon.Delivery, now time.Time) *flight {
	f := &flight{e: e, delivery: d, raw: d.Transaction(), info: d.Info(), n: 1}
	if f.info.Lease > 0 {
		f.extendAt = now.Add(f.info.Lease / 3)
	}
	return f
}

// key tells transactions apart.
func (f *flight) key() txKey {
	if !f.raw.Valid() { // it is refused; until then no other is taken for it
		return txKey{id: fmt.Sprintf("without ID %p", f)}
	}
	return txKey{f.raw.Source(), f.raw.ID()}
}

// replaceDelivery makes the newer delivery of the same stored message the one
// that is kept and settled. It refuses when it is too late for that: the
// settlement is out, or the lease was lost and nothing will be settled.
func (f *flight) replaceDelivery(newer *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.taken || f.lost.Load() {
		return false
	}
	f.delivery, f.extendAt = newer.delivery, newer.extendAt
	return true
}

// begin is the moment at which the transaction starts to run.
func (f *flight) begin(now time.Time) {
	f.began = now
	if f.info.FirstSeen.IsZero() {
		f.info.FirstSeen = f.began.UTC()
	}
	if d := f.e.policy.Transaction.Timeout.D(); d > 0 {
		f.deadline = f.began.Add(d)
	}
	f.n = max(f.info.Attempt, 1)
	if t := f.e.tracer; t != nil {
		tracing := t.Begin(f.raw, f.info)
		f.mu.Lock() // whoever takes its lease away tells of it
		f.tracing = tracing
		f.mu.Unlock()
	}
	f.step = stepProcess
	if f.e.task.producer {
		f.step = stepProduce
	}
}

// queue hands the flight to the workers for a step.
func (f *flight) queue(s step) {
	f.step, f.n = s, 1
	f.e.runq.push(f)
}

// advance runs the attempt that the flight was queued for. A worker calls it.
func (f *flight) advance(w *worker) {
	if f.step == stepStart {
		if f.isLost() {
			f.finish(Lost)
			return
		}
		f.recordStart()
	}
	now := time.Now()
	if f.step == stepStart {
		f.begin(now)
		f.e.begun(f)
	}
	switch err := f.attempt(w, now); {
	case err == errStranded:
		// The flight is somebody else's.
	case err == nil && f.step == stepProduce:
		f.produced()
	case err == nil && f.step == stepProcess && !f.e.task.silent && (w.took > shortAttempt || f.e.inLine()):
		f.e.sendq.push(f)
	default:
		f.attemptDone(err)
	}
}

// attemptDone takes an attempt's result to the retry that waits for it. After a
// first attempt nobody does: the flight goes on right here, and a retry begins
// only if it failed.
func (f *flight) attemptDone(err error) {
	if t := f.trouble; t != nil && t.reply != nil {
		reply := t.reply
		t.reply = nil
		reply <- err
		return
	}
	if err == nil {
		f.ended(endOK, 0, nil)
		return
	}
	f.e.goes.Go(func() { f.retry(err) })
}

// retry takes a step whose first attempt failed through its policy. It has a
// goroutine of its own, so its waits hold no slot; each attempt goes through the
// queue for one.
func (f *flight) retry(err error) {
	e, p := f.e, f.e.phases[f.step]
	var parent context.Context = e.work
	deadline := f.deadline
	if f.step == stepProduce && !e.task.producer {
		parent = e.publishing
	}
	if f.step == stepException || f.step == stepProduce && f.box().sent() {
		deadline = time.Time{}
	}
	ctx := attempt.New(parent, deadline, errTransactionTimeout, nil)
	if !f.register(ctx) {
		f.ended(endLost, 0, err)
		return
	}
	t := f.inTrouble()
	t.base = ctx
	out := p.Retry(ctx, &resilience.Run{
		First:  f.n,
		Random: f.random().Float64,
		Attempt: func(_ context.Context, n int) error {
			f.n = n
			reply := make(chan error, 1)
			t.reply = reply
			if f.step == stepProduce && !e.task.producer {
				f.sendAll()
			} else {
				e.runq.push(f)
			}
			return <-reply
		},
		Defer: func(delay time.Duration) bool {
			over := e.policy.Transaction.RedeliverOver.D()
			return f.step == stepProcess && f.info.CanDefer && over > 0 && delay > over
		},
		Scheduled: func(failed int, err error, delay time.Duration) { e.retryScheduled(f, failed, err, delay) },
	}, err)
	f.unregister()
	cause := context.Cause(ctx)
	ctx.Cancel(context.Canceled)
	t.base, f.n = nil, out.Attempts
	switch {
	case out.Err == nil:
		f.ended(endOK, 0, nil)
	case out.Deferred:
		f.ended(endDeferred, out.Delay, out.Err)
	case out.Cut && errors.Is(cause, errTransactionTimeout):
		if !errors.Is(out.Err, errTransactionTimeout) {
			out.Err = f.timeout(cause, out.Err)
		}
		f.ended(endFailed, 0, out.Err)
	case out.Cut:
		f.ended(endCut, 0, out.Err)
	default:
		f.ended(endFailed, 0, out.Err)
	}
}

// random spreads this phase's delays. It is seeded by the transaction: the same
// failures wait the same times again, and transactions that failed together
// spread all the same (R108).
func (f *flight) random() *rand.Rand { return randomOf(f.raw.Source()+"\x00"+f.raw.ID(), f.step) }

func randomOf(what string, s step) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what)) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), uint64(s)))
}

// register makes ctx the one that a lost lease cancels. It refuses once the
// lease is lost: the check and the registration are one step, or a loss between
// the two would cancel nobody.
func (f *flight) register(ctx *attempt.Context) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost.Load() {
		return false
	}
	f.running = ctx
	return true
}

func (f *flight) unregister() {
	f.mu.Lock()
	f.running = nil
	f.mu.Unlock()
}

// lose marks the lease as gone and cancels what runs: somebody else has the
// transaction now. It returns the settlement that is not answered yet.
func (f *flight) lose() (unanswered *settleTry) {
	f.mu.Lock()
	f.lost.Store(true)
	f.extendAt = time.Time{}
	running, unanswered := f.running, f.try
	f.mu.Unlock()
	if running != nil {
		running.Cancel(ergon.ErrLeaseLost)
	}
	return unanswered
}

func (f *flight) isLost() bool { return f.lost.Load() }

// fail makes the RFCs' TransactionException of whatever went wrong.
func (f *flight) fail(phase ergon.Phase, n int, err error) *ergon.Error {
	cause, category := causeOf(err), ergon.CategoryOf(err)
	if _, ok := errors.AsType[*decodeError](err); ok {
		phase = ergon.PhaseDecode
	}
	return &ergon.Error{
		Category: category, TransactionID: f.raw.ID(), Task: f.e.task.name,
		Phase: phase, Attempt: n, Err: cause,
	}
}

// causeOf is what an error whose category is taken says further: wrapping it as it
// is would say the category twice.
func causeOf(err error) error {
	if e, ok := err.(*ergon.Error); ok && e.Err != nil {
		return e.Err
	}
	return err
}
