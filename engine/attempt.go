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

// attempted is one attempt's context and facts, in one allocation.
type attempted struct {
	ctx  attempt.Context
	exec ergon.Execution
}

// attempt runs the user code of the flight's step once, under its limits and
// its deadline. It returns what the code returned, TIMEOUT once a deadline
// passed while it ran whatever it returned, or SYSTEM with the stack when it
// panicked.
func (f *flight) attempt() error {
	e, p := f.e, f.e.phases[f.step]
	deadline := f.deadline
	if f.step == stepException {
		deadline = time.Time{} // its own budget: what timed out can still be handled
	}
	var parent context.Context = e.work
	if f.base != nil {
		parent = f.base
	}
	ran := resilience.ErrNotRun
	f.sending = false
	if p.Limited() {
		wait := attempt.New(parent, deadline, errTransactionTimeout, nil)
		err := p.Enter(wait)
		cause := context.Cause(wait)
		wait.Finish()
		if err != nil {
			return f.timeout(cause, err)
		}
		defer func() {
			if !f.sending {
				p.Leave(ran) // otherwise answered does
			}
		}()
	}
	began := time.Now()
	if err := f.outlived(parent, deadline, began); err != nil {
		return err
	}
	expired := errTransactionTimeout
	if d := p.Timeout(); d > 0 {
		if own := began.Add(d); deadline.IsZero() || own.Before(deadline) {
			deadline, expired = own, errAttemptTimeout
		}
	}
	a := &attempted{}
	x := &a.exec
	x.TransactionID, x.Source, x.Task = f.id.id, f.id.source, e.task.name
	x.Phase, x.Attempt, x.MaxAttempts = f.step.phase(), f.n, p.MaxAttempts()
	x.Delivery, x.Connector, x.Deadline, x.At = f.info.Deliveries, e.connector, deadline, f.at
	a.ctx.Init(parent, deadline, expired, x)

	if f.base == nil { // a retry has registered its own, which is this one's parent
		if !f.register(&a.ctx) {
			return ergon.ErrLeaseLost
		}
		defer f.unregister()
	}
	err := f.call(&a.ctx)
	f.inCall = false
	ended := time.Now()
	if a.ctx.Expired(ended) {
		err = f.timeout(expired, err)
	}
	a.ctx.Finish()
	ran = err
	f.attemptBy, f.sentAt = time.Time{}, began
	if f.step == stepProduce && err == nil {
		f.sending, f.attemptBy = true, a.exec.Deadline // its sends are part of the attempt, and end it
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
// inCall set and goes on with an error.
func (f *flight) call(ctx context.Context) (err error) {
	f.inCall = true
	defer ergon.Recover(&err)
	switch f.step {
	case stepProcess, stepProduce:
		f.result, err = f.e.task.run(ctx, f.raw)
	case stepSuccess:
		err = f.e.task.success(ctx, f.raw, f.result)
	case stepException:
		err = f.e.task.exception(ctx, f.raw, f.err)
	}
	return err
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
