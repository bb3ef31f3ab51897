package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// A dependency that is down opens the breaker: fetching pauses, no attempt is
// spent, and nothing becomes a dead letter. It closes when a trial does well.
func TestBreakerKeepsABacklogFromTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		attempts := 0
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			attempts++
			if time.Since(began) < 150*time.Second {
				return "", errors.New("down")
			}
			return tx.Payload(), nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 1, 1
		r.policy.Process.Breaker = policy.Breaker{Failures: 3, Delay: dur(time.Minute), Successes: 1}
		r.policy.Transaction.Timeout = 0
		r.push(names(20)...)
		report := r.run(t)
		require.EqualValues(t, 20, report.Succeeded)
		require.Zero(t, report.Dead)
		require.Less(t, attempts, 20+3+4, "while it is open only the trials are made")
		require.GreaterOrEqual(t, time.Since(began), 150*time.Second)
		changes := eventsOf[engine.BreakerChanged](r)
		require.True(t, changes[0].Open)
		require.False(t, changes[len(changes)-1].Open)
		require.Equal(t, ergon.PhaseProcess, changes[0].Phase)
	})
}

// While the breaker is open nothing new is fetched.
func TestOpenBreakerPausesFetching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches []time.Duration
		began := time.Now()
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
			if time.Since(began) < 30*time.Second {
				return "", errors.New("down")
			}
			return "", nil
		}))
		r.queueO.OnFetch = func(int) error { fetches = append(fetches, time.Since(began)); return nil }
		r.policy.Loop.Concurrency, r.policy.Loop.Prefetch, r.policy.Fetch.Batch.Size = 1, 1, 1
		r.policy.Process.Breaker = policy.Breaker{Failures: 2, Delay: dur(time.Minute), Successes: 1}
		r.push(names(8)...)
		require.EqualValues(t, 8, r.run(t).Succeeded)
		for _, at := range fetches {
			require.False(t, at > time.Second && at < time.Minute, "fetched after %v", at)
		}
	})
}

// BUSINESS is the transaction's fault, not the dependency's.
func TestBusinessOpensNoBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "", ergon.Business("no") }))
		r.policy.Process.Breaker = policy.Breaker{Failures: 2, Delay: dur(time.Hour), Successes: 1}
		r.push(names(20)...)
		require.EqualValues(t, 20, r.run(t).Dead)
		require.Empty(t, eventsOf[engine.BreakerChanged](r))
	})
}

// A source that keeps failing is left alone for the breaker's delay; the attempts
// of the fetch policy are not spent meanwhile.
func TestFetchBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		calls := 0
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) { return tx.Payload(), nil }))
		r.queueO.OnFetch = func(int) error {
			calls++
			if time.Since(began) < 30*time.Second {
				return errors.New("unreachable")
			}
			return nil
		}
		r.policy.Fetch.Breaker = policy.Breaker{Failures: 2, Delay: dur(time.Minute), Successes: 1}
		r.push("a")
		require.EqualValues(t, 1, r.run(t).Succeeded)
		require.LessOrEqual(t, calls, 5)
	})
}
