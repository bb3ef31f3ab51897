package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// generation is that of the policy in force. An engine's policy never changes, so
// there is one.
const generation = 1

// attempted is one attempt's context and facts, in one allocation.
type attempted struct {
	ctx  attempt.Context
	exec ergon.Execution
	call codeCall
	f    *flight
	span SpanID
}

// used reports whether it is some attempt's already. Code that kept that one's
// context still reads it, so it is nobody else's.
func (a *attempted) used() bool { return a.f != nil }

func (a *attempted) init(f *flight, parent context.Context, deadline time.Time, expired error) {
	a.f, a.span = f, f.newSpan()
	f.tell(&a.exec, f.step, f.n, deadline)
	a.ctx.Init(parent, deadline, expired, a)
}

// Value is what the code reads.
func (a *attempted) Value(key any) any {
	if _, ok := key.(ergon.ExecutionKey); ok {
		return &a.exec
	}
	return a.f.traced(key, a.span)
}

// tell fills in the facts of an attempt. It reads nothing of the flight that
// changes once it has begun.
func (f *flight) tell(x *ergon.Execution, step step, n int, deadline time.Time) {
	e := f.e
	x.TransactionID, x.Source, x.Task = f.raw.ID(), f.raw.Source(), e.task.name
	x.Phase, x.Attempt, x.MaxAttempts = step.phase(), n, e.phases[step].MaxAttempts()
	x.Delivery, x.Connector, x.Deadline, x.At = f.info.Deliveries, e.connector, deadline, f.info.FirstSeen
	x.Generation, x.TraceParent = generation, f.raw.Trace().Parent
}

// attempt runs the user code of the flight's step once, under its limits and
// its deadline. It returns what the code returned, TIMEOUT once a deadline
// passed while it ran whatever it returned, or SYSTEM with the stack when it
// panicked.
//
// It returns errStranded, and has touched nothing since, when the flight was
// declared stuck while the code ran: somebody else has it by then.
func (f *flight) attempt(w *worker, began time.Time) error {
	e, p := f.e, f.e.phases[f.step]
	deadline := f.deadline
	if f.step == stepException {
		deadline = time.Time{} // its own budget: what timed out can still be handled
	}
	var parent context.Context = e.work
	base := f.base()
	if base != nil {
		parent = base
	}
	ran, goesOn := resilience.ErrNotRun, false
	if p.Limited() {
		wait := attempt.New(parent, deadline, errTransactionTimeout, nil)
		err := p.Enter(wait)
		cause := context.Cause(wait)
		wait.Finish()
		began = time.Now()
		if err != nil {
			return f.timeout(cause, err)
		}
		defer func() {
			if !goesOn {
				p.Leave(ran) // otherwise answered does
			}
		}()
	}
	if err := f.outlived(parent, deadline, began); err != nil {
		return err
	}
	expired := errTransactionTimeout
	if d := p.Timeout(); d > 0 {
		if own := began.Add(d); deadline.IsZero() || own.Before(deadline) {
			deadline, expired = own, errAttemptTimeout
		}
	}
	a := &f.first
	if a.used() {
		a = &attempted{}
	}
	a.init(f, parent, deadline, expired)

	// Read before the call is open to being given up: from then on another
	// goroutine may advance the flight.
	step, result, exc := f.step, f.result, f.failure()
	a.call.on, a.call.began = w, began
	a.call.registered = base == nil // a retry has registered its own context, which is this one's parent
	if !f.enter(a, deadline) {
		return ergon.ErrLeaseLost
	}
	e.stats.phases[step].began.Add(1)
	w.in = &a.call
	result, err := f.call(&a.ctx, step, result, exc)
	w.in = nil
	ended := time.Now()
	w.took = ended.Sub(began)
	late := a.ctx.Expired(ended)
	a.ctx.Finish()
	if ran = err; late {
		ran = expired
	}
	if !f.left(&a.call) {
		return errStranded
	}
	f.result, f.returned = result, ended
	if late {
		err = f.timeout(expired, err)
	}
	if f.step == stepProduce && err == nil {
		goesOn = true
		f.outbox().attempt(began, deadline) // its sends are part of the attempt, and end it
		return nil
	}
	e.attemptEnded(f, ended.Sub(began), err)
	return err
}

// outlived says why an attempt is not begun: it waited for a slot or a permit for
// longer than its result would count.
func (f *flight) outlived(parent context.Context, deadline, now time.Time) error {
	if err := parent.Err(); err != nil {
		return f.timeout(context.Cause(parent), err)
	}
	if !deadline.IsZero() && !now.Before(deadline) {
		return f.timeout(errTransactionTimeout, nil)
	}
	return nil
}

// call is the border to user code: no panic crosses it. What does is
// runtime.Goexit, which a test's FailNow calls; the worker's replacement finds
// its call open and goes on with an error. The result is returned and not stored:
// code that was given up must not write to the flight.
func (f *flight) call(ctx context.Context, step step, result any, exc *ergon.Error) (_ any, err error) {
	defer ergon.Recover(&err)
	switch step {
	case stepProcess, stepProduce:
		result, err = f.e.task.run(ctx, f.raw)
	case stepSuccess:
		err = f.e.task.success(ctx, f.raw, result)
	case stepException:
		err = f.e.task.exception(ctx, f.raw, exc)
	}
	return result, err
}

// timeout says whose time is over. err is what the code returned; it is kept
// for the reader, unless it says the same.
func (f *flight) timeout(cause, err error) error {
	var over error
	switch {
	case errors.Is(cause, errAttemptTimeout):
		over = fmt.Errorf("attempt %d of %s exceeded its %v: %w", f.n, f.step.phase(), f.e.phases[f.step].Timeout(), errAttemptTimeout)
	case errors.Is(cause, errTransactionTimeout):
		over = fmt.Errorf("the transaction exceeded its %v: %w", f.e.policy.Transaction.Timeout.D(), errTransactionTimeout)
	default:
		return err // cancelled, not late
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		over = fmt.Errorf("%w (it returned: %v)", over, err)
	}
	return &ergon.Error{Category: ergon.CategoryTimeout, Err: over}
}
