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
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trial is what an observer sees of a phase: when its attempts began, what was
// announced before each retry, and how it ended.
type trial struct {
	at        []time.Duration
	scheduled []string
	err       error
	attempts  int
}

// script is what each attempt of a phase returns; the last one repeats.
type script []error

func (s script) run(n int) error { return s[min(n, len(s))-1] }

// direct is the engine's way: the first attempt is called directly, and Retry is
// entered with its error.
func direct(t *testing.T, retry policy.Retry, s script, random func() float64) (out trial) {
	began := time.Now()
	attempt := func(n int) error {
		out.at = append(out.at, time.Since(began))
		out.attempts = n
		return s.run(n)
	}
	if out.err = attempt(1); out.err == nil {
		return out
	}
	end := resilience.Compile(policy.Phase{Retry: retry}, nil).Retry(t.Context(), &resilience.Run{
		First:   1,
		Random:  random,
		Attempt: func(_ context.Context, n int) error { return attempt(n) },
		Scheduled: func(failed int, err error, delay time.Duration) {
			out.scheduled = append(out.scheduled, fmt.Sprint(failed, err, delay))
		},
	}, out.err)
	require.False(t, end.Cut)
	require.False(t, end.Deferred)
	require.Equal(t, out.attempts, end.Attempts)
	out.err = end.Err
	return out
}

// reference is R072 and R075 written down: a loop and nothing else.
func reference(retry policy.Retry, s script, random func() float64) (out trial) {
	began := time.Now()
	for n := 1; ; n++ {
		out.at = append(out.at, time.Since(began))
		out.attempts, out.err = n, s.run(n)
		if out.err == nil || errors.Is(out.err, ergon.CategoryBusiness) || n == retry.MaxAttempts {
			return out
		}
		delay := float64(retry.Backoff)
		for range n - 1 {
			delay *= retry.BackoffMultiplier
		}
		if retry.BackoffCap > 0 {
			delay = min(delay, float64(retry.BackoffCap))
		}
		wait := time.Duration(delay + 0.5)
		if asked, ok := ergon.RetryAfterOf(out.err); ok {
			wait = asked
			if retry.BackoffCap > 0 {
				wait = min(wait, retry.BackoffCap.D())
			}
		} else if retry.Jitter > 0 {
			wait = retry.Jittered(wait, random())
		}
		out.scheduled = append(out.scheduled, fmt.Sprint(n, out.err, wait))
		time.Sleep(wait)
	}
}

// Over random policies and random errors, entering failsafe-go with the first
// attempt's result decides, waits and announces as a plain loop does.
func TestRetryIsALoop(t *testing.T) {
	kinds := []func() error{
		func() error { return nil },
		func() error { return ergon.System("system") },
		func() error { return ergon.System("system") },
		func() error { return ergon.Timeout("timeout") },
		func() error { return errors.New("plain") },
		func() error { return context.DeadlineExceeded },
		func() error { return ergon.RetryAfter(3*time.Second, errors.New("busy")) },
		func() error { return ergon.RetryAfter(0, errors.New("busy")) },
		func() error { return fmt.Errorf("wrapped: %w", ergon.Business("business")) },
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		retry := policy.Retry{
			MaxAttempts: 1 + rnd.IntN(7), BackoffMultiplier: []float64{1, 1.5, 2, 3}[rnd.IntN(4)],
			Backoff:    policy.Duration([]time.Duration{0, time.Millisecond, 200 * time.Millisecond, 2 * time.Second}[rnd.IntN(4)]),
			BackoffCap: policy.Duration([]time.Duration{0, 500 * time.Millisecond, 5 * time.Second}[rnd.IntN(3)]),
			Jitter:     []float64{0, 0, 0.3}[rnd.IntN(3)],
		}
		s := make(script, 1+rnd.IntN(8))
		for i := range s {
			s[i] = kinds[rnd.IntN(len(kinds))]()
		}
		seed := rnd.Uint64()
		random := func() func() float64 { return rand.New(rand.NewPCG(seed, seed)).Float64 }
		synctest.Test(t, func(t *testing.T) {
			require.Equal(t, reference(retry, s, random()), direct(t, retry, s, random()), "%+v %v", retry, s)
		})
	}
}

// A run that begins with a later attempt (of a parked transaction) has the rest of
// the attempts, and the delays of those.
func TestRetryFromALaterAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		p := resilience.Compile(policy.Phase{Retry: policy.Retry{MaxAttempts: 5, Backoff: policy.Duration(time.Second), BackoffMultiplier: 2}}, nil)
		bad := errors.New("x")
		out := p.Retry(t.Context(), &resilience.Run{First: 3, Attempt: func(_ context.Context, n int) error {
			require.Equal(t, 4+len(at), n)
			at = append(at, time.Since(began))
			return bad
		}}, bad)
		require.Equal(t, []time.Duration{4 * time.Second, 12 * time.Second}, at)
		require.Equal(t, resilience.Outcome{Err: bad, Attempts: 5, Delay: 4 * time.Second}, withDelay(out, 4*time.Second))
	})
}

func withDelay(out resilience.Outcome, d time.Duration) resilience.Outcome {
	out.Delay = d // of no meaning unless deferred
	return out
}

// Defer ends the run before its delay, and announces no retry.
func TestDeferEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := resilience.Compile(policy.Phase{Retry: policy.Retry{MaxAttempts: 9, Backoff: policy.Duration(time.Second), BackoffMultiplier: 2}}, nil)
		bad := errors.New("x")
		scheduled := 0
		out := p.Retry(t.Context(), &resilience.Run{
			First: 1, Attempt: func(context.Context, int) error { return bad },
			Defer:     func(d time.Duration) bool { return d > 2*time.Second },
			Scheduled: func(int, error, time.Duration) { scheduled++ },
		}, bad)
		require.Equal(t, resilience.Outcome{Err: bad, Attempts: 3, Deferred: true, Delay: 4 * time.Second}, out)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, 2, scheduled)
	})
}

// A context that ends cuts the run: in a delay, during an attempt, or before it
// began. An attempt's success stands all the same, and so does a final failure.
func TestContextCutsTheRun(t *testing.T) {
	p := resilience.Compile(policy.Phase{Retry: policy.Retry{MaxAttempts: 5, Backoff: policy.Duration(time.Second), BackoffMultiplier: 1}}, nil)
	bad, final := errors.New("x"), ergon.Business("no")
	for name, c := range map[string]struct {
		after   time.Duration // when the context ends
		results script        // of attempts 1, 2, …; each takes 100 ms
		want    resilience.Outcome
	}{
		"before":           {0, script{bad}, resilience.Outcome{Err: bad, Attempts: 1, Cut: true}},
		"before, final":    {0, script{final}, resilience.Outcome{Err: final, Attempts: 1}},
		"in a delay":       {1500 * time.Millisecond, script{bad}, resilience.Outcome{Err: bad, Attempts: 2, Cut: true}},
		"in an attempt":    {1050 * time.Millisecond, script{bad}, resilience.Outcome{Err: bad, Attempts: 2, Cut: true}},
		"in a success":     {1050 * time.Millisecond, script{bad, nil}, resilience.Outcome{Attempts: 2}},
		"in a final error": {1050 * time.Millisecond, script{bad, final}, resilience.Outcome{Err: final, Attempts: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.after)
				defer cancel()
				out := p.Retry(ctx, &resilience.Run{First: 1, Attempt: func(_ context.Context, n int) error {
					time.Sleep(100 * time.Millisecond)
					return c.results.run(n)
				}}, c.results[0])
				require.Equal(t, c.want, withDelay(out, 0))
			})
		})
	}
}

// The limits wait, and are given back.
func TestLimitsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := resilience.Compile(policy.Phase{Bulkhead: policy.Bulkhead{MaxConcurrency: 1}, Retry: policy.Retry{MaxAttempts: 1}}, nil)
		require.True(t, p.Limited())
		require.NoError(t, p.Enter(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Enter(ctx), context.DeadlineExceeded)
		p.Leave(nil)
		require.NoError(t, p.Enter(t.Context()))
		p.Leave(nil)

		began := time.Now()
		p = resilience.Compile(policy.Phase{RateLimit: policy.RateLimit{Limit: 2, Per: policy.Duration(time.Second)}, Retry: policy.Retry{MaxAttempts: 1}}, nil)
		for range 5 {
			require.NoError(t, p.Enter(t.Context()))
			p.Leave(nil)
		}
		require.Equal(t, 2*time.Second, time.Since(began))
		p = resilience.Compile(policy.Phase{RateLimit: policy.RateLimit{Limit: 2, Per: policy.Duration(time.Second), Burst: true}, Retry: policy.Retry{MaxAttempts: 1}}, nil)
		for range 4 {
			require.NoError(t, p.Enter(t.Context()))
		}
		require.LessOrEqual(t, time.Since(began), 3*time.Second)

		p = resilience.Compile(policy.Phase{Retry: policy.Retry{MaxAttempts: 1, Timeout: policy.Duration(time.Second)}}, nil)
		require.False(t, p.Limited())
		require.NoError(t, p.Enter(t.Context()))
		p.Leave(nil)
		require.Equal(t, 1, p.MaxAttempts())
		require.Equal(t, time.Second, p.Timeout())
	})
}
