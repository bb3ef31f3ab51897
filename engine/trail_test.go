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

// What did not simply do well is remembered with its attempts, also without a tracer;
// what did well at once is not.
func TestTrailRemembersTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mixed()
		r.trail = engine.NewTrail(10)
		r.run(t)
		require.Empty(t, r.trail.Of("good"))
		require.Empty(t, r.trail.Of("nobody"))
		later := r.trail.Of("later")
		require.Len(t, later, 1)
		require.Equal(t, engine.Succeeded, later[0].Outcome)
		require.Equal(t, "memory", later[0].Connector)
		require.Equal(t, 2, later[0].Outputs)
		var delays []time.Duration
		for _, a := range later[0].Attempts {
			delays = append(delays, a.Delay)
		}
		require.Equal(t, []time.Duration{100 * ms, 200 * ms, 0, 0}, delays)
		require.False(t, later[0].Fetch.Ended.IsZero())
		dead := r.trail.Dead(10)
		require.Len(t, dead, 2)
		require.ElementsMatch(t, []string{"bad", "garbage"}, []string{dead[0].Transaction.ID(), dead[1].Transaction.ID()})
		require.Equal(t, r.trail.Of("bad")[0].Err.Category, ergon.CategoryBusiness)
		require.Len(t, r.trail.Dead(1), 1)
	})
}

func TestTrailForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(time.Second) // so that one has ended before the next does
			return ergon.None{}, ergon.Business("no")
		}))
		r.policy.Loop.Concurrency = 1 // in order
		r.trail = engine.NewTrail(3)
		r.push("1", "2", "3", "4", "5")
		r.run(t)
		require.Empty(t, r.trail.Of("2"))
		var ids []string
		for _, record := range r.trail.Dead(10) {
			ids = append(ids, record.Transaction.ID())
		}
		require.Equal(t, []string{"3", "4", "5"}, ids)
		require.Equal(t, "5", r.trail.Dead(1)[0].Transaction.ID())
	})
}

// A loop that a new process alone can help is not alive; a bus that is away, or a
// backlog, is no reason.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming = true
		r.policy.Fetch.Retry.MaxAttempts = 1000
		r.policy.Fetch.Retry.Backoff = dur(time.Second)
		away := errors.New("the bus is away")
		r.queueO.OnFetch = func(int) error { return away }
		r.push("a")
		e, wait := r.start(t)
		time.Sleep(time.Minute)
		require.ErrorIs(t, e.Health(), away)
		require.NoError(t, e.Alive())
		_, err := wait(true)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, e.Alive(), "it has ended in order")
	})
}

// Each part is told apart.
func TestChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			return "", ergon.System("down")
		}))
		r.policy.Loop.Streaming = true
		r.policy.Process.Breaker.Failures, r.policy.Process.Breaker.Successes, r.policy.Process.Breaker.Delay = 1, 1, dur(time.Hour)
		e, wait := r.start(t)
		checks := func() map[string]string {
			found := map[string]string{}
			for _, c := range e.Checks() {
				found[c.Part] = ""
				if c.Err != nil {
					found[c.Part] = c.Err.Error()
				}
			}
			return found
		}
		require.Equal(t, map[string]string{"fetch": "", "settle": "", "breaker process": ""}, checks())
		r.push("a")
		synctest.Wait()
		require.Equal(t, map[string]string{"fetch": "", "settle": "", "breaker process": "it is open: nothing new is fetched"}, checks())
		require.ErrorContains(t, e.Health(), "breaker process: it is open")
		_, err := wait(true)
		require.NoError(t, err)
	})
}
