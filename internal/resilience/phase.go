// Package resilience compiles policies to failsafe-go, whose only home it is.
//
// The composition, outermost first, is
//
//	retry ( rate limit ( bulkhead ( breaker ( timeout ( attempt )))))
//
// Retry is outermost, so that a permit and the clock of the timeout belong to
// one attempt and neither is held through a backoff. The limits stand outside
// the timeout: waiting for one's turn spends no attempt and no attempt time; it
// is bounded by the transaction's own timeout. The breaker is the last to be
// asked, for each attempt that it lets through must be reported to it. The timeout is the deadline of
// the attempt's context and not failsafe's policy, because that one hides the
// deadline from the code that runs and reads as Canceled.
//
// Where nothing fails failsafe is not entered. The first attempt is called
// directly; when it failed, its error is the first result that failsafe sees,
// and its retry policy decides from there as if it had made the call.
package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// Phase is the policy of one phase, compiled once and shared by all
// transactions. It is safe for concurrent use.
type Phase struct {
	policy   policy.Phase
	executor failsafe.Executor[*Run]
	bulkhead bulkhead.Bulkhead[any]
	limiter  ratelimiter.RateLimiter[any]
	breaker  circuitbreaker.CircuitBreaker[any]
}

// trialWait is how often an attempt that waits for a breaker's trials looks
// again: the end of a trial wakes nobody.
const trialWait = 20 * time.Millisecond

// ErrOpen says that the phase's breaker is open.
var ErrOpen = errors.New("the circuit breaker is open")

// ErrNotRun, given to Leave, says that the attempt was not made after all.
var ErrNotRun = errors.New("not run")

// Compile builds a phase from a policy that was validated. opened, if not nil, is
// told when the phase's breaker opens (true) and closes (false); it must not
// block.
func Compile(p policy.Phase, opened func(bool)) *Phase {
	c := &Phase{policy: p}
	c.executor = failsafe.With[*Run](retrypolicy.NewBuilder[*Run]().
		WithMaxAttempts(p.Retry.MaxAttempts).
		ReturnLastFailure().
		// HandleIf and not AbortIf: an abortable error on the last attempt would
		// come back wrapped, as if the attempts had been exceeded.
		HandleIf(func(run *Run, err error) bool { return err != nil && run.again(err) }).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[*Run]) time.Duration { return e.LastResult().delay }).
		Build())
	if n := p.Bulkhead.MaxConcurrency; n > 0 {
		c.bulkhead = bulkhead.New[any](uint(n))
	}
	if r := p.RateLimit; r.Enabled() {
		if r.Burst {
			c.limiter = ratelimiter.NewBursty[any](uint(r.Limit), r.Per.D())
		} else {
			c.limiter = ratelimiter.NewSmooth[any](uint(r.Limit), r.Per.D())
		}
	}
	if b := p.Breaker; b.Enabled() {
		builder := circuitbreaker.NewBuilder[any]().
			WithFailureThresholdRatio(uint(b.Failures), uint(b.Window())).
			WithSuccessThreshold(uint(max(b.Successes, 1))).
			WithDelay(b.Delay.D())
		if opened != nil {
			builder.OnOpen(func(circuitbreaker.StateChangedEvent) { opened(true) })
			builder.OnClose(func(circuitbreaker.StateChangedEvent) { opened(false) })
		}
		c.breaker = builder.Build()
	}
	return c
}

// MaxAttempts is how often the phase may be tried.
func (p *Phase) MaxAttempts() int { return p.policy.Retry.MaxAttempts }

// Timeout bounds one attempt; 0 is no bound.
func (p *Phase) Timeout() time.Duration { return p.policy.Retry.Timeout.D() }

// Concurrency is how many attempts the phase's bulkhead admits at once, 0 for no
// bulkhead.
func (p *Phase) Concurrency() int { return p.policy.Bulkhead.MaxConcurrency }

// HasBreaker reports whether the phase has a circuit breaker.
func (p *Phase) HasBreaker() bool { return p.breaker != nil }

// Limited reports whether Enter may have to wait at all.
func (p *Phase) Limited() bool { return p.limiter != nil || p.bulkhead != nil || p.breaker != nil }

// Open is how long the phase's breaker lets nothing through, 0 if it does.
func (p *Phase) Open() time.Duration {
	if p.breaker == nil || !p.breaker.IsOpen() {
		return 0
	}
	return p.breaker.RemainingDelay()
}

// Enter waits for the phase's limits until ctx ends. Each nil is followed by one
// Leave.
func (p *Phase) Enter(ctx context.Context) error { return p.enter(ctx, true) }

// EnterUnlessOpen is Enter, but for an open breaker, which ends it with ErrOpen. A
// breaker that lets trials through is waited for: whoever comes while one runs would be
// turned away for nothing.
func (p *Phase) EnterUnlessOpen(ctx context.Context) error {
	if p.Open() > 0 { // nobody's turn need be waited for
		return ErrOpen
	}
	return p.enter(ctx, false)
}

func (p *Phase) enter(ctx context.Context, patient bool) error {
	if p.limiter != nil {
		if err := p.limiter.AcquirePermit(ctx); err != nil {
			return err
		}
	}
	if p.bulkhead != nil {
		if err := p.bulkhead.AcquirePermit(ctx); err != nil {
			return err
		}
	}
	if p.breaker != nil {
		if err := p.pass(ctx, patient); err != nil {
			if p.bulkhead != nil {
				p.bulkhead.ReleasePermit()
			}
			return err
		}
	}
	return nil
}

// pass waits until the breaker lets an attempt through. An open breaker fails
// nobody: it would spend the attempts of a whole backlog on a dependency that is
// known to be down. Whoever is not patient learns of it.
func (p *Phase) pass(ctx context.Context, patient bool) error {
	for !p.breaker.TryAcquirePermit() {
		if !patient && p.breaker.IsOpen() {
			return ErrOpen
		}
		timer := time.NewTimer(max(p.breaker.RemainingDelay(), trialWait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// Leave gives back what Enter took, and tells the breaker how the attempt ended.
// A BUSINESS failure is none of the dependency's.
func (p *Phase) Leave(err error) {
	if p.bulkhead != nil {
		p.bulkhead.ReleasePermit()
	}
	switch {
	case p.breaker == nil:
	case errors.Is(err, ErrNotRun):
		if p.breaker.IsHalfOpen() {
			p.breaker.RecordFailure() // a trial that was not made proves nothing: wait for another
		}
	case err != nil && ergon.CategoryOf(err).Retryable():
		p.breaker.RecordFailure()
	default:
		p.breaker.RecordSuccess()
	}
}

// Final marks an error as one that no attempt follows, whatever its category.
func Final(err error) error { return finalError{err} }

type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

// Again takes off what Final put on, and reports whether it had: whoever gets the error
// decides anew.
func Again(err error) (error, bool) {
	if f, ok := err.(finalError); ok {
		return f.error, true
	}
	return err, false
}

// Run is one phase of one transaction that failed at its first attempt and goes
// through the retry policy. It is used once.
type Run struct {
	// Attempt runs attempt n. It never panics.
	Attempt func(ctx context.Context, n int) error
	// First is the number of the attempt whose error is given to Retry.
	First int
	// Random spreads the delays: a number from 0 to 1, the transaction's own.
	Random func() float64
	// Defer, if set, is asked before each delay whether the transaction is given
	// away rather than kept waiting here; true ends the run.
	Defer func(delay time.Duration) bool
	// Scheduled, if set, is told of each retry before its delay.
	Scheduled func(failed int, err error, delay time.Duration)

	phase    *Phase
	n        int
	delay    time.Duration
	deferred bool
	last     error
}

// Outcome is how a run ended.
type Outcome struct {
	// Err is the last attempt's error, nil for success.
	Err      error
	Attempts int           // the number of the last attempt
	Deferred bool          // given away by Defer
	Delay    time.Duration // before the next attempt, when Deferred
	// Cut says that ctx ended before the policy was through, or during its last
	// attempt, and the failure is one that is retried. context.Cause(ctx) says why.
	Cut bool
}

// Retry goes on after attempt run.First failed with err, and returns once the
// phase succeeded, failed for good, was deferred or ctx ended. Whether err is
// retried at all is decided here too.
func (p *Phase) Retry(ctx context.Context, run *Run, err error) Outcome {
	run.phase, run.n = p, run.First
	first := true
	_, _ = p.executor.WithContext(ctx).GetWithExecution(func(e failsafe.Execution[*Run]) (*Run, error) {
		if first {
			first = false
			run.last = err
			return run, err
		}
		run.n++
		run.last = run.Attempt(e.Context(), run.n)
		return run, run.last
	})
	out := Outcome{Err: run.last, Attempts: run.n, Deferred: run.deferred, Delay: run.delay}
	// failsafe returns ctx's error for a delay that ctx cut short, and throws a
	// success away when ctx ended while it was made; what the attempts returned
	// is what counts here.
	out.Cut = out.Err != nil && !out.Deferred && ctx.Err() != nil && ergon.CategoryOf(out.Err).Retryable()
	return out
}

// again decides on one failed attempt, and computes the delay once: what is
// reported is what is waited.
func (r *Run) again(err error) bool {
	retry := r.phase.policy.Retry
	if _, final := errors.AsType[finalError](err); final {
		return false
	}
	if !ergon.CategoryOf(err).Retryable() || r.n >= retry.MaxAttempts {
		return false
	}
	r.delay = retry.Delay(r.n - 1)
	if after, ok := ergon.RetryAfterOf(err); ok {
		r.delay = after
		if limit := retry.BackoffCap.D(); limit > 0 {
			r.delay = min(after, limit)
		}
	} else if r.Random != nil {
		r.delay = retry.Jittered(r.delay, r.Random())
	}
	if r.Defer != nil && r.Defer(r.delay) {
		r.deferred = true
		return false
	}
	if r.Scheduled != nil {
		r.Scheduled(r.n, err, r.delay)
	}
	return true
}
