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
type step int

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
	id   txKey
	raw  ergon.Raw
	info ergon.DeliveryInfo // of the first delivery: the identity of the stored message does not change
	next *flight            // in the run queue

	waiters []*flight // for the same ID; under the guard's lock

	mu       sync.Mutex
	delivery ergon.Delivery // the newest
	extendAt time.Time      // zero: no lease to keep
	lost     bool           // its lease is gone
	taken    bool           // its settlement was handed to the source
	try      *settleTry     // the settlement that is not answered yet
	overdue  bool           // its answer is, since the lease seems to be gone
	cancel   func(error)    // ends what runs or waits now
	sends    []send         // of the running attempt of produce
	sendBy   time.Time      // when those are given up, zero for never
	calling  *codeCall      // user code that has the flight
	stuck    int            // calls that were given up and have not returned
	over     bool           // the flight has ended

	step     step
	n        int              // number of the step's attempt, 1 for the first
	reply    chan error       // takes the attempt's result when a retry waits for it
	base     *attempt.Context // of the retry, the attempts' parent; nil for the first attempt
	began    time.Time        // when the first attempt began
	at       time.Time        // the transaction's Now
	deadline time.Time        // of the transaction, zero for none

	result     any
	outs       []ergon.Raw
	sinks      []ergon.Sink // one for each of outs
	missing    atomic.Int32 // sends of this attempt without an answer
	sendCtx    *attempt.Context
	sentAt     time.Time // when this attempt of produce began
	sending    bool      // a producer's attempt goes on in its sends
	attemptBy  time.Time // the end of that attempt, zero for none
	sent       bool      // something was handed to a sink
	confirmed  int
	attempts   int // of the phase that decided the outcome
	err        *ergon.Error
	handlerErr error
	failedAt   time.Time
	settlement ergon.Settlement
	outcome    Outcome
	retries    int // of the settlement
	recorder   ergon.StartRecorder
	firstTry   settleTry
}

// newFlight wraps a delivery.
func newFlight(e *Engine, d ergon.Delivery, now time.Time) *flight {
	f := &flight{e: e, delivery: d, raw: d.Transaction(), info: d.Info(), n: 1}
	f.id = keyOf(f.raw)
	if !f.raw.Valid() {
		f.id.id = fmt.Sprintf("without ID %p", f) // it is refused; until then it is told apart
	}
	if f.info.Lease > 0 {
		f.extendAt = now.Add(f.info.Lease / 3)
	}
	return f
}

// replaceDelivery makes the newer delivery of the same stored message the one
// that is kept and settled. It refuses when it is too late for that: the
// settlement is out, or the lease was lost and nothing will be settled.
func (f *flight) replaceDelivery(newer *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.taken || f.lost {
		return false
	}
	f.delivery, f.extendAt = newer.delivery, newer.extendAt
	return true
}

// begin is the moment at which the transaction starts to run.
func (f *flight) begin() {
	f.began = time.Now()
	f.at = f.info.FirstSeen
	if f.at.IsZero() {
		f.at = f.began.UTC()
	}
	if d := f.e.policy.Transaction.Timeout.D(); d > 0 {
		f.deadline = f.began.Add(d)
	}
	f.n = max(f.info.Attempt, 1)
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
		f.begin()
		f.e.begun(f)
	}
	switch err := f.attempt(w); {
	case err == errStranded:
		// The flight is somebody else's.
	case err == nil && f.step == stepProduce:
		f.produced()
	default:
		f.attemptDone(err)
	}
}

// attemptDone takes an attempt's result to the retry that waits for it. After a
// first attempt nobody does: the flight goes on right here, and a retry begins
// only if it failed.
func (f *flight) attemptDone(err error) {
	if reply := f.reply; reply != nil {
		f.reply = nil
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
	if f.step == stepException || f.sent && f.step == stepProduce {
		deadline = time.Time{}
	}
	ctx := attempt.New(parent, deadline, errTransactionTimeout, nil)
	if !f.register(ctx) {
		f.ended(endLost, 0, err)
		return
	}
	f.base = ctx
	out := p.Retry(ctx, &resilience.Run{
		First:  f.n,
		Random: f.random().Float64,
		Attempt: func(_ context.Context, n int) error {
			f.n = n
			reply := make(chan error, 1)
			f.reply = reply
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
	f.base, f.n = nil, out.Attempts
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
func (f *flight) random() *rand.Rand { return randomOf(f.id.source+"\x00"+f.id.id, f.step) }

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
	if f.lost {
		return false
	}
	f.cancel = ctx.Cancel
	return true
}

func (f *flight) unregister() {
	f.mu.Lock()
	f.cancel = nil
	f.mu.Unlock()
}

// lose marks the lease as gone and cancels what runs: somebody else has the
// transaction now. It returns the settlement that is not answered yet.
func (f *flight) lose() (unanswered *settleTry) {
	f.mu.Lock()
	f.lost = true
	f.extendAt = time.Time{}
	cancel, unanswered := f.cancel, f.try
	f.mu.Unlock()
	if cancel != nil {
		cancel(ergon.ErrLeaseLost)
	}
	return unanswered
}

func (f *flight) isLost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// fail makes the RFCs' TransactionException of whatever went wrong.
func (f *flight) fail(phase ergon.Phase, n int, err error) *ergon.Error {
	cause, category := causeOf(err), ergon.CategoryOf(err)
	if _, ok := errors.AsType[*decodeError](err); ok {
		phase = ergon.PhaseDecode
	}
	return &ergon.Error{
		Category: category, TransactionID: f.id.id, Task: f.e.task.name,
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
