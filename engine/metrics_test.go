package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// phaseOf finds a phase's metrics.
func phaseOf(m engine.Metrics, phase ergon.Phase) (found engine.PhaseMetrics) {
	for _, p := range m.Phases {
		if p.Phase == phase {
			found = p
		}
	}
	return found
}

// attemptsOf are a phase's attempts by category, where there are any.
func attemptsOf(p engine.PhaseMetrics) map[ergon.Category]int64 {
	found := map[ergon.Category]int64{}
	for _, r := range p.Results {
		if r.Attempts > 0 {
			found[r.Category] = r.Attempts
		}
	}
	return found
}

// endedOf are how a phase ended, by category: how often, and how long it took in all.
func endedOf(p engine.PhaseMetrics) (times map[ergon.Category]uint64, seconds map[ergon.Category]float64) {
	times, seconds = map[ergon.Category]uint64{}, map[ergon.Category]float64{}
	for _, r := range p.Results {
		if h := r.Duration; h.Count > 0 {
			times[r.Category], seconds[r.Category] = h.Count, h.Sum
		}
	}
	return times, seconds
}

func outcomeOf(m engine.Metrics, o engine.Outcome) (found engine.TransactionMetrics) {
	for _, t := range m.Transactions {
		if t.Outcome == o {
			found = t
		}
	}
	return found
}

// R033: processed, succeeded and failed, timeouts, retries, the waits before them, the
// duration of each phase.
func TestMetricsAreTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			switch attempt := ergon.ExecutionOf(ctx).Attempt; {
			case tx.ID() == "no":
				return "", ergon.Business("no")
			case tx.ID() == "later" && attempt < 3:
				time.Sleep(time.Second)
				return "", errors.New("not yet")
			case tx.ID() == "slow" && attempt == 1, tx.ID() == "never":
				<-ctx.Done()
				return "", ctx.Err()
			}
			return "x", nil
		}))
		r.policy.Process.Retry.MaxAttempts = 3
		r.push("good", "no", "later", "slow", "never")
		r.make()
		r.queue.Push(raw("garbage", "{"))
		e := r.engine(t)
		before := time.Now()
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		m := e.Metrics()
		require.Equal(t, before, m.Since)
		require.EqualValues(t, 6, m.Started)
		require.EqualValues(t, 3, m.Outputs)
		require.False(t, m.Ready, "it has ended")

		require.EqualValues(t, 3, outcomeOf(m, engine.Succeeded).Count)
		dead := outcomeOf(m, engine.Dead)
		require.EqualValues(t, 3, dead.Count)
		require.Equal(t, map[ergon.Category]int64{ergon.CategoryBusiness: 2, ergon.CategoryTimeout: 1}, dead.Failed)
		require.EqualValues(t, 3, dead.Duration.Count)
		require.InDelta(t, 30.3, dead.Duration.Sum, 1e-6) // never: three times 10 s, and 100 and 200 ms between them
		require.ElementsMatch(t, []engine.DeadMetrics{
			{Phase: ergon.PhaseProcess, Category: ergon.CategoryBusiness, Count: 1},
			{Phase: ergon.PhaseDecode, Category: ergon.CategoryBusiness, Count: 1},
			{Phase: ergon.PhaseProcess, Category: ergon.CategoryTimeout, Count: 1},
		}, m.DeadLetters)

		process := phaseOf(m, ergon.PhaseProcess)
		require.Equal(t, map[ergon.Category]int64{"": 3, ergon.CategoryBusiness: 2, ergon.CategorySystem: 2, ergon.CategoryTimeout: 4}, attemptsOf(process))
		times, seconds := endedOf(process)
		require.Equal(t, map[ergon.Category]uint64{"": 3, ergon.CategoryBusiness: 2, ergon.CategoryTimeout: 1}, times)
		require.InDelta(t, 2.3+10.1, seconds[""], 1e-6) // later and slow, with the waits
		require.InDelta(t, 30.3, seconds[ergon.CategoryTimeout], 1e-6)
		require.EqualValues(t, 5, process.Retries)
		require.EqualValues(t, 5, process.Backoff.Count)
		require.InDelta(t, 0.1+0.2+0.1+0.1+0.2, process.Backoff.Sum, 1e-6)
		require.Zero(t, process.Running)

		times, _ = endedOf(phaseOf(m, ergon.PhaseProduce))
		require.Equal(t, map[ergon.Category]uint64{"": 3}, times)
		require.Empty(t, attemptsOf(phaseOf(m, ergon.PhaseSuccess)), "it has no hooks")
		require.EqualValues(t, 6, m.Batch.Sum)
		require.Positive(t, m.Empty)
	})
}

// What holds slots and the window while it runs, by phase (R033), and what became of
// it in a drain.
func TestMetricsOfWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			<-open
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming = true
		r.policy.Process.Bulkhead = policy.Bulkhead{MaxConcurrency: 2}
		r.policy.Fetch.Breaker = policy.Breaker{Failures: 1, Successes: 1, Delay: dur(time.Second)}
		r.push("a", "b", "c", "d", "e", "f")
		e, wait := r.start(t)
		synctest.Wait()
		m := e.Metrics()
		require.True(t, m.Ready)
		require.EqualValues(t, 2, phaseOf(m, ergon.PhaseProcess).Running)
		require.Equal(t, []engine.LimitMetrics{
			{Name: "slots", Used: 4, Max: 4}, {Name: "window", Used: 6, Max: int64(r.policy.Loop.Window)}, {Name: "process", Used: 2, Max: 2},
		}, m.Limits)
		require.True(t, phaseOf(m, ergon.PhaseFetch).Breaker)
		require.False(t, phaseOf(m, ergon.PhaseProcess).Breaker)
		go func() {
			time.Sleep(time.Second)
			close(open)
		}()
		_, err := wait(true)
		require.NoError(t, err)
		m = e.Metrics()
		require.EqualValues(t, 4, outcomeOf(m, engine.Succeeded).Drained)
		require.EqualValues(t, 2, outcomeOf(m, engine.Released).Drained)
		require.Zero(t, outcomeOf(m, engine.Released).Duration.Count, "it never began")
	})
}

func TestMetricsOfTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if ergon.ExecutionOf(ctx).Delivery == 1 {
				<-ctx.Done()
			}
			return ergon.None{}, nil
		}))
		refused := false
		r.queueO.Lease = time.Minute
		r.queueO.OnExtend = func(ergon.Raw) error { return ergon.ErrLeaseLost }
		r.queueO.OnSettle = func(memory.Settled) error {
			if !refused {
				refused = true
				return errors.New("not now")
			}
			return nil
		}
		r.push("a")
		e := r.engine(t)
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		m := e.Metrics()
		require.EqualValues(t, 1, m.LeasesLost)
		require.EqualValues(t, 1, m.Redelivered)
		require.EqualValues(t, 1, m.SettleFailed)
		require.EqualValues(t, 1, outcomeOf(m, engine.Lost).Count)
	})
}
