package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// ours is the engine's way: attempts under internal/attempt's lazy context, the
// first one called directly and Retry entered with its error.
func (s scene) ours(t *testing.T) *record {
	r := &record{began: time.Now()}
	parent, cancel := s.parent(t)
	defer cancel(nil)
	phase := policy.Phase{Retry: s.retry}
	if s.rival != nil {
		phase.Bulkhead.MaxConcurrency = 1
	}
	p := resilience.Compile(phase, nil)
	defer s.compete(t, r, p.Enter, func() { p.Leave(nil) })()
	attempts := 0
	try := func(ctx context.Context, n int) (err error) {
		attempts = n
		if err = p.Enter(ctx); err != nil {
			return err
		}
		defer func() { p.Leave(err) }()
		var deadline time.Time
		if d := p.Timeout(); d > 0 {
			deadline = time.Now().Add(d)
		}
		c := attempt.New(ctx, deadline, errOwnTime, nil)
		v, err := s.play(c, r, n)
		if c.Expired(time.Now()) {
			err = errLate
		}
		c.Finish()
		v.freed = s.freed(c, n)
		r.seen = append(r.seen, v)
		r.event("attempt %d ends: %s", n, told(err))
		return err
	}
	end := resilience.Outcome{Err: try(parent, 1), Attempts: 1}
	if end.Err != nil {
		end = p.Retry(parent, &resilience.Run{
			First: 1, Attempt: try, Random: rand.New(rand.NewPCG(s.seed, 0)).Float64,
			Scheduled: func(failed int, err error, delay time.Duration) {
				r.event("attempt %d is followed by another in %v: %s", failed, delay, told(err))
			},
		}, end.Err)
	}
	require.Equal(t, attempts, end.Attempts)
	if end.Cut {
		end.Err = cut(context.Cause(parent))
	}
	r.event("final: %s", told(end.Err))
	return r
}

// cut is what a phase comes to that was cut short: TIMEOUT for a deadline, and for a
// cancellation none of its own, which no task can return.
func cut(cause error) error {
	if errors.Is(cause, errParentTime) {
		return errLate
	}
	return errCancelled
}

// randomScene makes one up.
func randomScene(rnd *rand.Rand) scene {
	upTo := func(d time.Duration) time.Duration { return 1 + time.Duration(rnd.Int64N(int64(d))) }
	limit := []time.Duration{0, 300 * time.Millisecond, time.Second}[rnd.IntN(3)]
	s := scene{
		retry: policy.Retry{
			MaxAttempts: 1 + rnd.IntN(6), BackoffMultiplier: []float64{1, 1.5, 2}[rnd.IntN(3)], Timeout: policy.Duration(limit),
			Backoff:    policy.Duration([]time.Duration{0, 200 * time.Millisecond, time.Second}[rnd.IntN(3)]),
			BackoffCap: policy.Duration([]time.Duration{0, 500 * time.Millisecond}[rnd.IntN(2)]),
			Jitter:     []float64{0, 0, 0.3}[rnd.IntN(3)],
		},
		acts: make([]act, 1+rnd.IntN(6)), seed: rnd.Uint64(),
	}
	for i := range s.acts {
		a := act{heeds: rnd.IntN(2) == 0, stopped: []string{"err", "cause", "result"}[rnd.IntN(3)]}
		if rnd.IntN(3) > 0 {
			a.takes = upTo(1500 * time.Millisecond) // beyond either limit, or below
		}
		if rnd.IntN(3) == 0 {
			a.lingers = upTo(time.Second)
		}
		if rnd.IntN(6) > 0 {
			a.result = results[rnd.IntN(len(results))]
		}
		s.acts[i] = a
	}
	if rnd.IntN(3) == 0 {
		s.cancelled = upTo(4 * time.Second)
	}
	if rnd.IntN(3) == 0 {
		s.timedAt = upTo(4 * time.Second)
	}
	if rnd.IntN(3) == 0 {
		for range 6 {
			s.rival = append(s.rival, upTo(time.Second))
		}
	}
	return s
}

var results = []error{
	ergon.System("system"), errors.New("plain"), ergon.Timeout("timeout"), context.DeadlineExceeded, context.Canceled,
	ergon.RetryAfter(700*time.Millisecond, errors.New("busy")), ergon.RetryAfter(0, errors.New("busy")),
	fmt.Errorf("wrapped: %w", ergon.Business("business")),
}

// Over random policies, attempts and ends of the parent, entering failsafe-go with
// the result of a first attempt under our own context is what the full stack of
// failsafe-go does, for whoever looks: the attempts, their contexts, delays,
// categories and events.
func TestRetryIsEquivalent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	covered := map[string]int{}
	for i := range 1000 {
		s := randomScene(rnd)
		var want, got *record
		synctest.Test(t, func(t *testing.T) { want = s.stack(t) })
		synctest.Test(t, func(t *testing.T) { got = s.ours(t) })
		require.Equal(t, want, got, "scene %d: %+v", i, s)
		want.cover(covered)
	}
	for _, of := range []error{errOwnTime, errParentTime, errCancelled} {
		require.Greater(t, covered[fmt.Sprint("heeded: ", of)], 20, "%v", covered)
		require.Greater(t, covered[fmt.Sprint("ignored: ", of)], 20, "%v", covered)
	}
	for _, of := range []error{nil, errLate, errCancelled, results[len(results)-1]} {
		require.Greater(t, covered["final: "+told(of)], 20, "%v", covered)
	}
	require.Greater(t, covered["cut in a delay"], 20, "%v", covered)
	require.Greater(t, covered["kept waiting"], 20, "%v", covered)
}
