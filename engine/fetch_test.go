package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// nothing is a task that does nothing.
func nothing() engine.Task {
	return consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil })
}

// R078, defect 8: an empty source is asked after 50, 100, 200 … ms, at most every
// second; data resets the count, and cuts the wait short.
func TestIdleBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at history
		r := newRig(nothing())
		r.policy.Loop.Streaming = true
		r.queueO.OnFetch = func(int) error {
			at.add("%v", time.Since(began))
			return nil
		}
		_, wait := r.start(t)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"0s", "50ms", "150ms", "350ms", "750ms", "1.55s", "2.55s", "3.55s"}, at.all())
		r.push("a")
		synctest.Wait()
		require.Len(t, r.queue.Acked(), 1, "Ready cut the wait short")
		require.Equal(t, []string{"4s", "4s"}, at.all()[8:])
		time.Sleep(200 * ms)
		synctest.Wait()
		require.Equal(t, []string{"4s", "4s", "4.05s", "4.15s"}, at.all()[8:], "counted from the start again")
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// R082: without streaming the run ends when nothing is pending, leased to anybody
// or parked; a message that is leased to a consumer that died comes back first.
func TestUntilEmptyWaitsForWhatAnotherHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(nothing())
		r.queueO.Lease = 30 * time.Second
		r.push("a", "b")
		dead, err := r.queue.Source().Fetch(t.Context(), 1) // and never heard of again
		require.NoError(t, err)
		require.Len(t, dead, 1)
		report := r.run(t)
		require.EqualValues(t, 2, report.Succeeded)
		require.Equal(t, 30*time.Second, time.Since(began))
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nothing())
		began := time.Now()
		r.run(t)
		require.Zero(t, time.Since(began), "nothing is there: it ends at once")
	})
}

// R095: a fetch is tried again by its policy, which begins anew after a success.
func TestFetchIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		fails := 4
		r := newRig(nothing())
		r.queueO.OnFetch = func(int) error {
			if fails--; fails >= 0 {
				return errors.New("no connection")
			}
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Zero(t, report.Retries, "R070: it spends no other phase's budget")
		require.Equal(t, 1500*ms, time.Since(began), "100+200+400+800")
		failed := eventsOf[engine.FetchFailed](r)
		require.Len(t, failed, 4)
		require.Equal(t, 4, failed[3].Attempt)
		require.False(t, failed[3].Final)
	})
}

// R095, R103: the error ends the loop, after what runs has finished: nothing of it
// is cancelled.
func TestFetchThatFailsForGood(t *testing.T) {
	bad := errors.New("consumer deleted")
	for name, c := range map[string]struct {
		err      error
		attempts int
	}{"system": {bad, 5}, "business": {ergon.Business("%w", bad), 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				fetches := 0
				var g gauge
				r := sleeper(&g)
				r.policy.Loop.Concurrency = 2
				r.task = consume(func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
					select {
					case <-time.After(5 * time.Second):
						return "x", nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				})
				r.queueO.OnFetch = func(int) error {
					if fetches++; fetches > 1 {
						return c.err
					}
					return nil
				}
				r.push("a", "b", "c")
				report, err := r.engine(t).Run(t.Context())
				require.ErrorIs(t, err, bad)
				var e *ergon.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, ergon.PhaseFetch, e.Phase)
				require.Equal(t, "score", e.Task)
				require.Equal(t, c.attempts, e.Attempt)
				require.ErrorContains(t, err, "fetch from memory: consumer deleted")
				require.EqualValues(t, 3, report.Succeeded, "what it had is finished")
				require.Equal(t, 10*time.Second, time.Since(began))
				failed := eventsOf[engine.FetchFailed](r)
				require.Len(t, failed, c.attempts)
				require.True(t, failed[c.attempts-1].Final)
			})
		})
	}
}

// R095: a fetch that hangs beyond its time is TIMEOUT.
func TestFetchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nothing())
		r.policy.Fetch.Retry.Timeout, r.policy.Fetch.Retry.MaxAttempts = dur(time.Second), 2
		r.source = &scripted{}
		_, err := r.engine(t).Run(t.Context())
		require.ErrorIs(t, err, ergon.CategoryTimeout)
		require.ErrorContains(t, err, "fetch exceeded its 1s")
	})
}

// A stop during a fetch or its backoff is no failure.
func TestStopDuringAFetch(t *testing.T) {
	for name, onFetch := range map[string]func(int) error{
		"waiting": nil,
		"backoff": func(int) error { return errors.New("x") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(nothing())
				r.queueO.OnFetch = onFetch
				r.push("a")
				_, err := r.queue.Source().Fetch(t.Context(), 1) // somebody else's for ever
				if onFetch == nil {
					require.NoError(t, err)
				}
				_, wait := r.start(t)
				time.Sleep(50 * ms)
				began := time.Now()
				report, err := wait(true)
				require.NoError(t, err)
				require.Zero(t, time.Since(began))
				require.Zero(t, report.Fetched)
			})
		})
	}
}
