package engine

import (
	"context"
	"errors"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

// How a step can end.
type ending int

const (
	endOK       ending = iota // it did well
	endFailed                 // it failed for good
	endDeferred               // its next attempt is due later than one waits here
	endCut                    // it was interrupted by the stop
	endLost                   // the lease was lost meanwhile
	endings
)

// What follows a step.
type follow int

const (
	_              follow = iota
	thenProduce           // send the outputs
	thenSuccess           // run the success hook
	thenAck               // settle: done with
	thenException         // run the exception hook
	thenDead              // settle: store the dead letter
	thenRetryLater        // settle: store for later, with the next attempt's number
	thenRelease           // settle: give back, uncounted
	thenDrop              // settle nothing, record no outcome: somebody else has it
)

// after is the order of settlement (DESIGN §2): what follows each end of each
// step. A step whose hook the task does not have ends well at once.
//
// Reading a column from top to bottom is a transaction's life: its outputs are
// confirmed before the success hook runs, and that before the ack. Once
// something failed for good only the exception hook runs, once, and the dead
// letter follows whatever the hook did. Only process is deferred: parked, a
// transaction forgets its result, and would send outputs again that are sent.
var after = [...][endings]follow{
	stepProcess:   {endOK: thenProduce, endFailed: thenException, endDeferred: thenRetryLater, endCut: thenRelease, endLost: thenDrop},
	stepProduce:   {endOK: thenSuccess, endFailed: thenException, endCut: thenRelease, endLost: thenDrop},
	stepSuccess:   {endOK: thenAck, endFailed: thenException, endCut: thenRelease, endLost: thenDrop},
	stepException: {endOK: thenDead, endFailed: thenDead, endCut: thenRelease, endLost: thenDrop},
}

// Outcome is how the engine was done with a transaction. Succeeded and Dead are
// final; the others mean that it will be, or is being, delivered again.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded" // everything is stored, the source is settled
	Dead      Outcome = "dead"      // stands in the dead-letter store
	Deferred  Outcome = "deferred"  // stored for a later attempt
	Released  Outcome = "released"  // given back, uncounted
	Lost      Outcome = "lost"      // its lease ran out; another delivery has it
	Merged    Outcome = "merged"    // took the outcome of an equal delivery
	Abandoned Outcome = "abandoned" // not settled when the engine stopped
)

// releaseDelay is how long a released transaction stays away. A delay of zero
// would bring it back before the process that is stopping has left.
const releaseDelay = 50 * time.Millisecond

// ended moves a flight on from its step.
func (f *flight) ended(how ending, delay time.Duration, err error) {
	if f.isLost() {
		how = endLost
	}
	if how == endFailed {
		f.e.stats.phaseFailed(f, err)
	}
	switch after[f.step][how] {
	case thenProduce:
		f.produce()
	case thenSuccess:
		if f.e.task.success == nil {
			f.step = stepSuccess
			f.ended(endOK, 0, nil)
			return
		}
		f.queue(stepSuccess)
	case thenAck:
		f.acknowledge(Succeeded)
	case thenException:
		t := f.inTrouble()
		t.err, t.failedAt = f.fail(f.step.phase(), f.n, err), time.Now().UTC()
		if f.e.task.exception == nil {
			f.step = stepException
			f.ended(endOK, 0, nil)
			return
		}
		f.queue(stepException)
	case thenDead:
		if how == endFailed {
			f.inTrouble().handlerErr = f.fail(ergon.PhaseException, f.n, err)
		}
		f.settle(f.dead(), Dead)
	case thenRetryLater:
		e := f.e
		e.emit(Deferring{
			Place: f.here(), Task: e.task.name, Transaction: f.raw, Attempt: f.n,
			MaxAttempts: e.phases[f.step].MaxAttempts(), Err: err, Delay: delay,
		})
		f.delayed(delay)
		f.settle(ergon.Settlement{
			Kind: ergon.Retry, After: delay, NextAttempt: f.n + 1, FirstSeen: f.info.FirstSeen,
			Err: f.fail(f.step.phase(), f.n, err),
		}, Deferred)
	case thenRelease:
		f.release()
	case thenDrop:
		f.finish(Lost)
	}
}

func (f *flight) dead() ergon.Settlement {
	return ergon.Settlement{Kind: ergon.Dead, Err: f.trouble.err, FirstSeen: f.info.FirstSeen, Dead: f.deadFacts()}
}

func (f *flight) deadFacts() ergon.DeadFacts {
	t := f.trouble
	facts := ergon.DeadFacts{
		Outputs: len(f.box().outputs()), Confirmed: f.box().confirmed(), HandlerErr: t.handlerErr,
		FailedAt: t.failedAt,
	}
	if t.err.Phase == ergon.PhaseProduce && f.box().sent() {
		facts.Unknown = facts.Outputs - facts.Confirmed
	}
	return facts
}

// release gives a flight back that was not, or not completely, processed.
func (f *flight) release() {
	f.settle(ergon.Settlement{Kind: ergon.Release, After: releaseDelay}, Released)
}

// failure is why the flight failed for good, nil if it has not.
func (f *flight) failure() *ergon.Error {
	if f.trouble == nil {
		return nil
	}
	return f.trouble.err
}

// settle hands a settlement to the newest delivery.
func (f *flight) settle(s ergon.Settlement, outcome Outcome) {
	f.inTrouble().settlement = s
	f.step, f.outcome = stepSettle, outcome
	f.trySettle()
}

// acknowledge is settle for what needs no more words: the settlement is made when
// it is needed.
func (f *flight) acknowledge(outcome Outcome) {
	f.step, f.outcome = stepSettle, outcome
	f.trySettle()
}

// settlement is what the flight is to be settled with.
func (f *flight) settlement() ergon.Settlement {
	if t := f.trouble; t != nil && t.settlement.Kind != 0 {
		return t.settlement
	}
	return ergon.Settlement{Kind: ergon.Ack, Reply: f.box().outputs(), Confirm: f.e.policy.Transaction.ConfirmAck}
}

// trySettle marks the delivery as taken in the same critical section in which
// it picks it. A newer delivery that came a moment later would otherwise
// replace one that is being settled, and never be settled itself.
func (f *flight) trySettle() {
	try := &f.firstTry
	if f.retries() > 0 {
		try = &settleTry{}
	}
	try.f = f
	f.mu.Lock()
	f.taken, f.try = true, try
	d, lost := f.delivery, f.lost.Load()
	f.mu.Unlock()
	if lost {
		f.finish(Lost)
		return
	}
	settleSafely(d, f.settlement(), try.done)
}

// retries is how often the settlement failed.
func (f *flight) retries() int {
	if f.trouble == nil {
		return 0
	}
	return f.trouble.retries
}

// settleTry is one call of Delivery.Settle. The first answer counts: a connector
// that answers twice, or answers and panics, would end the flight twice.
type settleTry struct {
	f     *flight
	ended atomic.Bool
}

func (t *settleTry) done(err error) {
	if t.ended.CompareAndSwap(false, true) {
		t.f.settled(err)
	}
}

// settled is the source's answer. What was not taken is tried again under the
// lease, which the sweeper keeps up: a dead letter that can't be stored stays
// with its source and is never lost.
func (f *flight) settled(err error) {
	switch {
	case err == nil:
		f.finish(f.outcome)
		return
	case errors.Is(err, ergon.ErrLeaseLost):
		f.finish(Lost)
		return
	}
	f.mu.Lock()
	f.try, f.overdue = nil, false
	f.mu.Unlock()
	f.e.goes.Go(func() { f.settleAgain(err) })
}

// settleAgain waits and tries again. After the stop a dead letter that could not
// be stored is given back; if that fails too, or was tried before, the flight is
// abandoned to the end of its lease.
func (f *flight) settleAgain(err error) {
	e := f.e
	t := f.inTrouble()
	t.retries++
	kind := f.settlement().Kind
	e.health.unsettle(kind, t.retries == 1, err)
	delay := e.settleRetry.Delay(t.retries - 1)
	e.emit(SettleFailed{Place: f.whole(), Task: e.task.name, Transaction: f.raw, Kind: kind, Attempt: t.retries, Err: err, Delay: delay})
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		f.trySettle()
	case <-e.settling.Done():
		if errors.Is(context.Cause(e.settling), errStopping) && kind != ergon.Release {
			f.release()
			return
		}
		f.finish(Abandoned)
	}
}

// settleSafely contains a connector's panic.
func settleSafely(d ergon.Delivery, s ergon.Settlement, done func(error)) {
	defer recovered(done)
	d.Settle(s, done)
}

// recovered, deferred around a connector's call, answers in its place when it
// panicked.
func recovered(done func(error)) {
	if v := recover(); v != nil {
		done(&ergon.Error{Category: ergon.CategorySystem, Err: &ergon.PanicError{Value: v, Stack: debug.Stack()}})
	}
}

// finish ends a flight: its outcome is recorded, its place is free, and whoever
// waited for it goes on.
func (f *flight) finish(outcome Outcome) {
	e := f.e
	f.mu.Lock()
	f.extendAt, f.try = time.Time{}, nil
	f.taken, f.over = true, true
	f.outcome = outcome
	stuck := f.stuck > 0
	f.mu.Unlock()
	e.finished(f, outcome)
	if f.retries() > 0 {
		e.health.settled()
	}
	f.forgetStart()
	if !stuck { // otherwise its code leaves when it returns
		e.leaveGuard(f)
	}
	f.turn.done()
	e.placeFreed(e.held.Add(-1))
}

// leaveGuard frees the ID for whoever waits for it.
func (e *Engine) leaveGuard(f *flight) {
	if next := e.guard.leave(f); next != nil {
		e.waited(next, f, f.outcome)
	}
}
