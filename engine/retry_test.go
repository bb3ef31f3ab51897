package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// failing returns a rig whose task fails with err at each attempt, and the times
// of its attempts since the start.
func failing(err error) (*rig, *[]time.Duration) {
	began := time.Now()
	var at []time.Duration
	r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		at = append(at, time.Since(began))
		return ergon.None{}, err
	}))
	return r, &at
}

const ms = time.Millisecond

// R062, R063, R075, R092: BUSINESS is never retried; SYSTEM, TIMEOUT and what says
// nothing about itself are, with exactly the policy's delays.
func TestRetriesFollowCategoryAndPolicy(t *testing.T) {
	thrice := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms}
	for name, c := range map[string]struct {
		err      error
		category ergon.Category
		at       []time.Duration
	}{
		"business":         {ergon.Business("no"), ergon.CategoryBusiness, []time.Duration{0}},
		"wrapped business": {fmt.Errorf("line 3: %w", ergon.Business("no")), ergon.CategoryBusiness, []time.Duration{0}},
		"system":           {ergon.System("down"), ergon.CategorySystem, thrice},
		"timeout":          {ergon.Timeout("slow"), ergon.CategoryTimeout, thrice},
		"deadline":         {fmt.Errorf("call: %w", context.DeadlineExceeded), ergon.CategoryTimeout, thrice},
		"unclassified":     {errors.New("odd"), ergon.CategorySystem, thrice},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, at := failing(c.err)
				r.push("a")
				report := r.run(t)
				require.Equal(t, c.at, *at)
				require.EqualValues(t, len(c.at)-1, report.Retries)
				err := r.onlyDead(t).Settlement.Err
				require.Equal(t, c.category, err.Category)
				require.Equal(t, len(c.at), err.Attempt)
				require.Equal(t, ergon.PhaseProcess, err.Phase)
				require.Equal(t, "a", err.TransactionID)
				require.Equal(t, "score", err.Task)
				require.ErrorIs(t, err, c.category)
			})
		})
	}
}

// R075, decision k: the cap is reached and not passed: 100, 200, 300, 300 ms.
func TestBackoffReachesItsCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, at := failing(errors.New("x"))
		r.policy.Process.Retry.MaxAttempts, r.policy.Process.Retry.BackoffCap = 5, dur(300*ms)
		r.push("a")
		r.run(t)
		require.Equal(t, []time.Duration{0, 100 * ms, 300 * ms, 600 * ms, 900 * ms}, *at)
		var delays []time.Duration
		for _, ev := range eventsOf[engine.RetryScheduled](r) {
			delays = append(delays, ev.Delay)
		}
		require.Equal(t, []time.Duration{100 * ms, 200 * ms, 300 * ms, 300 * ms}, delays)
	})
}

// An error may name the delay itself; the cap and the attempts still hold, and
// BUSINESS stays final.
func TestRetryAfterIsHonouredAndCapped(t *testing.T) {
	for name, c := range map[string]struct {
		err error
		at  []time.Duration
	}{
		"honoured": {ergon.RetryAfter(time.Second, errors.New("busy")), []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		"at once":  {ergon.RetryAfter(0, errors.New("busy")), []time.Duration{0, 0, 0, 0}},
		"capped":   {ergon.RetryAfter(time.Hour, errors.New("busy")), []time.Duration{0, 60000 * ms, 120000 * ms, 180000 * ms}},
		"business": {ergon.RetryAfter(time.Second, ergon.Business("no")), []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, at := failing(c.err)
				r.push("a")
				r.run(t)
				require.Equal(t, c.at, *at)
			})
		})
	}
}

// R070: each phase has its own budget, and a success ends the retries.
func TestRetryUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
			if n++; n < 3 {
				return "", errors.New("not yet")
			}
			return "done", nil
		}))
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 2, report.Retries)
		require.Equal(t, `"done"`, string(r.sink.All()[0].Payload()))
		require.Len(t, r.queue.Acked(), 1)
	})
}

// The wait before a retry holds no slot: another transaction runs meanwhile.
func TestBackoffHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%s%d", tx.ID(), ergon.ExecutionOf(ctx).Attempt)
			if tx.ID() == "a" && ergon.ExecutionOf(ctx).Attempt < 3 {
				return ergon.None{}, errors.New("x")
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency = 1
		r.push("a", "b", "c")
		r.run(t)
		require.Equal(t, []string{"a1", "b1", "c1", "a2", "a3"}, h.all())
	})
}

// DESIGN §2: a wait beyond redeliver_over parks the transaction with the number
// of its next attempt, and max_attempts counts over all of it.
func TestLongWaitsAreParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, at := failing(ergon.System("down"))
		r.queueO.CanDefer = true
		r.policy.Transaction.RedeliverOver = dur(150 * ms)
		r.push("a")
		report := r.run(t)
		require.Equal(t, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms}, *at, "the same attempts at the same times")
		require.EqualValues(t, 2, report.Deferred)
		require.EqualValues(t, 3, report.Started, "each delivery is started")
		dead := r.onlyDead(t)
		require.Equal(t, 4, dead.Settlement.Err.Attempt)
		require.Equal(t, 4, dead.Info.Attempt)
		require.Len(t, r.queue.Acked(), 0)
	})
}
