package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// Call makes one call of op: fn does it, once per attempt, and ends when its context
// does. It must not keep the context: what needs it (a response's body, rows)
// is read within fn. request is what an observer of calls sees, and fn gets.
//
// The error names the operation and has a category: BUSINESS, SYSTEM or TIMEOUT, which is
// what the engine goes by. What fn returned is found in it by errors.Is and errors.As.
//
// An fn that ignores its context keeps its caller waiting: what bounds that is the
// engine's stuck_after. Call may be made from many goroutines at once.
func Call[Req, Res any](ctx context.Context, op *Operation, request Req, fn func(context.Context, Req) (Res, error)) (response Res, err error) {
	observer := ergon.CallObserverOf(ctx)
	if observer == nil {
		return call(ctx, op, request, fn)
	}
	// A panic of the observer's is one of the call too.
	defer ergon.Recover(&err)
	answer, answered, err := observer.Before(ctx, op.name, request)
	if !answered {
		response, err = call(ctx, op, request, fn)
		observer.After(ctx, op.name, request, response, err)
		return response, err
	}
	if err != nil || answer == nil {
		return response, err
	}
	response, ok := answer.(Res)
	if !ok {
		return response, ergon.System("%s: whoever observes calls answered with a %T: it returns a %T", op.name, answer, response)
	}
	return response, nil
}

// call is Call without an observer.
func call[Req, Res any](ctx context.Context, op *Operation, request Req, fn func(context.Context, Req) (Res, error)) (response Res, err error) {
	began := time.Now()
	op.begun.Add(1)
	ctx, span := op.startSpan(ctx)
	response, err = once(ctx, op, request, fn, began)
	attempts := 1
	if err != nil && op.again(ctx, err) {
		response, attempts, err = again(ctx, op, request, fn, err)
	}
	if err != nil {
		var none Res
		response, err = none, op.failed(err, attempts)
	}
	op.ended(time.Since(began), err)
	if span != nil {
		endSpan(span, attempts, err)
	}
	return response, err
}

// again makes the attempts that follow one which failed.
func again[Req, Res any](ctx context.Context, op *Operation, request Req, fn func(context.Context, Req) (Res, error), failed error) (response Res, attempts int, err error) {
	out := op.seam.phase.Retry(ctx, &resilience.Run{
		First: 1, Random: rand.Float64,
		Attempt: func(ctx context.Context, _ int) (err error) {
			response, err = once(ctx, op, request, fn, time.Now())
			return err
		},
		Scheduled: func(int, error, time.Duration) { op.retries.Add(1) },
	}, failed)
	return response, out.Attempts, out.Err
}

// once makes one attempt.
func once[Req, Res any](ctx context.Context, op *Operation, request Req, fn func(context.Context, Req) (Res, error), began time.Time) (response Res, err error) {
	phase := op.seam.phase
	if phase.Limited() {
		if err := op.enter(ctx); err != nil {
			return response, err
		}
		began = time.Now() // its time begins with its turn
		defer func() { op.leave(err) }()
	}
	var deadline time.Time
	if d := phase.Timeout(); d > 0 {
		deadline = began.Add(d)
	}
	own := attempt.New(ctx, deadline, op.late, nil)
	response, err = safely(own, request, fn)
	if err != nil {
		err = op.classify(ctx, own, err)
	}
	own.Finish()
	return response, err
}

// safely turns a panic into an error.
func safely[Req, Res any](ctx context.Context, request Req, fn func(context.Context, Req) (Res, error)) (response Res, err error) {
	defer ergon.Recover(&err)
	return fn(ctx, request)
}

// enter waits for the limits. An open breaker is not waited for: its caller holds a slot
// of the engine, which can wait without one.
func (o *Operation) enter(ctx context.Context) error {
	err := o.seam.phase.EnterUnlessOpen(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, resilience.ErrOpen):
		o.rejected.Add(1)
		return resilience.Final(ergon.RetryAfter(o.seam.phase.Open(), ErrOpen))
	default:
		return &ergon.Error{Category: ergon.CategoryOf(context.Cause(ctx)), Err: fmt.Errorf("it waited for its turn: %w", context.Cause(ctx))}
	}
}

func (o *Operation) leave(err error) {
	if err != nil && ergon.CategoryOf(err).Retryable() && o.seam.phase.HasBreaker() {
		o.seam.last.Store(&err)
	}
	o.seam.phase.Leave(err)
}

// again reports whether err may be followed by another attempt here.
func (o *Operation) again(ctx context.Context, err error) bool {
	return o.kind == Idempotent && o.seam.phase.MaxAttempts() > 1 && ergon.CategoryOf(err).Retryable() && ctx.Err() == nil
}

// classify is the one place where a failure of a service gets its category. ctx is the
// caller's context, own the attempt's.
func (o *Operation) classify(ctx context.Context, own *attempt.Context, err error) error {
	if err, final := resilience.Again(err); final { // it stays in front, where it is found again
		return resilience.Final(o.classify(ctx, own, err))
	}
	if _, ok := errors.AsType[*ergon.Error](err); ok {
		return err // whoever made it knew
	}
	var category ergon.Category
	if o.seam.classify != nil {
		category = o.seam.classify(err)
	}
	if category == "" {
		category = ergon.CategoryOf(err)
	}
	// Client libraries have errors of their own for a context that ended: "i/o timeout",
	// "query was cancelled". Whose time it was, the contexts know.
	if category != ergon.CategoryBusiness && own.Err() != nil {
		if ctx.Err() == nil {
			return ergon.Timeout("it took longer than %v: %w", o.seam.phase.Timeout(), err)
		}
		category = ergon.CategoryOf(context.Cause(own))
	}
	return &ergon.Error{Category: category, Err: err}
}

// failed names the operation in an error of it.
func (o *Operation) failed(err error, attempts int) error {
	err, _ = resilience.Again(err) // final in here is not final for the engine
	named := &ergon.Error{Category: ergon.CategoryOf(err)}
	inner := err
	if e, ok := err.(*ergon.Error); ok {
		inner = e.Err // its category stands in front already
	}
	switch {
	case inner == nil:
		named.Err = errors.New(o.name + ": no cause given")
	case attempts > 1:
		named.Err = fmt.Errorf("%s: %w (after %d attempts)", o.name, inner, attempts)
	default:
		named.Err = fmt.Errorf("%s: %w", o.name, inner)
	}
	return named
}
