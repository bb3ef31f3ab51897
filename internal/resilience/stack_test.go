package resilience_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/common"
	"github.com/failsafe-go/failsafe-go/policy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	"github.com/stretchr/testify/require"
)

// stack is retry(bulkhead(timeout(attempt))) of failsafe-go, which makes every call
// itself, the first one included. What it says otherwise than we do is put into our
// words here, and nowhere else:
//
//   - Its timeout hides the deadline from the code, ends the context as Canceled, and
//     yields an error of its own without a category.
//   - Its retry policy looks at its context after each attempt, and takes an end of
//     that for the result whatever the attempt returned. For a deadline so do we. For
//     a cancellation a success stands, and so does a final error: what was done was done.
func (s scene) stack(t *testing.T) *record {
	r := &record{began: time.Now()}
	parent, cancel := s.parent(t)
	defer cancel(nil)
	random := rand.New(rand.NewPCG(s.seed, 0)).Float64
	limit := s.retry.Timeout.D()

	// said is an attempt's error in our words: late, if its own time was over, or that
	// of the parent, which the retry policy would find next.
	said := func(err error) error {
		if d, ok := parent.Deadline(); errors.Is(err, timeout.ErrExceeded) || ok && !time.Now().Before(d) {
			return errLate
		}
		return err
	}
	retry := retrypolicy.NewBuilder[any]().WithMaxAttempts(s.retry.MaxAttempts).ReturnLastFailure().
		HandleIf(func(_ any, err error) bool { return err != nil && ergon.CategoryOf(said(err)).Retryable() }).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[any]) time.Duration {
			// The formula is a matter of its own: see TestRetryIsALoop.
			delay := s.retry.Delay(e.Attempts() - 1)
			if asked, ok := ergon.RetryAfterOf(said(e.LastError())); !ok {
				delay = s.retry.Jittered(delay, random())
			} else if delay = asked; s.retry.BackoffCap > 0 {
				delay = min(asked, s.retry.BackoffCap.D())
			}
			return delay
		}).
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[any]) {
			r.event("attempt %d is followed by another in %v: %s", e.Attempts(), e.Delay, told(said(e.LastError())))
		}).Build()
	policies := []failsafe.Policy[any]{retry}

	if s.rival != nil {
		b := bulkhead.NewBuilder[any](1).WithMaxWaitTime(24 * time.Hour).Build()
		defer s.compete(t, r, b.AcquirePermit, b.ReleasePermit)()
		policies = append(policies, b)
	}
	var last error
	var ctx context.Context // of the last attempt's code
	policies = append(policies, tap(func(attempt int, err error) {
		last = said(err)
		r.seen[len(r.seen)-1].freed = s.freed(ctx, attempt)
		r.event("attempt %d ends: %s", attempt, told(last))
	}))
	var exceeded atomic.Bool
	if limit > 0 {
		policies = append(policies, timeout.NewBuilder[any](limit).
			OnTimeoutExceeded(func(failsafe.ExecutionDoneEvent[any]) { exceeded.Store(true) }).Build())
	}

	_, err := failsafe.With(policies...).WithContext(parent).GetWithExecution(func(e failsafe.Execution[any]) (any, error) {
		exceeded.Store(false)
		ctx = e.Context()
		v, err := s.play(ctx, r, e.Attempts())
		if own := v.at + limit; limit > 0 && (v.deadline == 0 || own < v.deadline) {
			v.deadline = own // it is in force, and hidden
		}
		if exceeded.Load() && v.cause == context.Canceled { // not the parent's: its ends have causes
			v.err, v.cause = context.DeadlineExceeded, errOwnTime
		}
		r.seen = append(r.seen, v)
		return nil, err
	})
	if parent.Err() == nil {
		require.Equal(t, last, said(err))
	} else {
		// ErrExceeded is what is left of an attempt that was late as well.
		require.Contains(t, []error{parent.Err(), timeout.ErrExceeded}, err)
		if last != nil && ergon.CategoryOf(last).Retryable() {
			last = cut(context.Cause(parent))
		}
	}
	r.event("final: %s", told(last))
	return r
}

// tap is a policy of failsafe-go that decides nothing: it is told what the policies
// inside it made of an attempt.
type tap func(attempt int, err error)

func (f tap) ToExecutor(any) any {
	e := &tapped{told: f}
	e.Executor = e
	return e
}

type tapped struct {
	policy.BaseExecutor[any]
	told tap
}

func (e *tapped) Apply(inner func(failsafe.Execution[any]) *common.PolicyResult[any]) func(failsafe.Execution[any]) *common.PolicyResult[any] {
	return func(exec failsafe.Execution[any]) *common.PolicyResult[any] {
		result := inner(exec)
		e.told(exec.Attempts(), result.Error)
		return result
	}
}
