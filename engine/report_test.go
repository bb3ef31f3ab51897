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
	"github.com/stretchr/testify/require"
)

// mixed returns a rig with five transactions: three that succeed with two outputs
// each, one of them at its third attempt, one that fails and one that is undecodable.
func mixed() *rig {
	r := newRig(engine.Consume("split", plain[string, ergon.Outputs](func(ctx context.Context, tx ergon.Transaction[string]) (ergon.Outputs, error) {
		switch {
		case tx.ID() == "bad":
			return nil, ergon.Business("no")
		case tx.ID() == "later" && ergon.ExecutionOf(ctx).Attempt < 3:
			return nil, errors.New("not yet")
		}
		return ergon.Outputs{ergon.To("a", 1), ergon.To("b", 2)}, nil
	}), engine.Routes("a", "b")))
	r.push("good", "bad", "later", "fine")
	r.queue.Push(raw("garbage", "{"))
	return r
}

func TestReportNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mixed()
		e := r.engine(t)
		report, err := e.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, engine.Report{
			Task: "split", Fetched: 5, Started: 5, Succeeded: 3, Dead: 2, Outputs: 6, Retries: 2, Duration: 300 * ms,
		}, report)
		s := e.Snapshot()
		require.EqualValues(t, 3, s.Succeeded)
		require.Zero(t, s.Held+s.Queued+s.Running)
		require.Less(t, s.P50, time.Millisecond)
		require.InDelta(t, 300*ms, s.P99, float64(40*ms))
	})
}

// Each transaction's events, in their order, and one final outcome (R018).
func TestEventsOfATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mixed()
		r.run(t)
		of := func(id string) []string {
			var kinds []string
			for _, ev := range r.events.all {
				switch ev := ev.(type) {
				case engine.Started:
					if ev.Transaction.ID() == id {
						kinds = append(kinds, "started")
					}
				case engine.AttemptEnded:
					if ev.Transaction.ID() == id {
						kinds = append(kinds, string(ev.Phase))
					}
				case engine.RetryScheduled:
					if ev.Transaction.ID() == id {
						kinds = append(kinds, "retry")
					}
				case engine.Finished:
					if ev.Transaction.ID() == id {
						kinds = append(kinds, string(ev.Outcome))
					}
				}
			}
			return kinds
		}
		require.Equal(t, []string{"started", "process", "produce", "succeeded"}, of("good"))
		require.Equal(t, []string{"started", "process", "dead"}, of("bad"))
		require.Equal(t, []string{"started", "process", "retry", "process", "retry", "process", "produce", "succeeded"}, of("later"))
		last := r.events.all[len(r.events.all)-1]
		require.IsType(t, engine.Ended{}, last)
		require.EqualValues(t, 3, last.(engine.Ended).Report.Succeeded)
	})
}

// A duration has the settlement in it, where an answer is waited for.
func TestDurationHasTheSettlement(t *testing.T) {
	for name, fails := range map[string]bool{"a confirmed ack": false, "a dead letter": true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
				time.Sleep(time.Second)
				if fails {
					return ergon.None{}, ergon.Business("no")
				}
				return ergon.None{}, nil
			}))
			r.policy.Transaction.ConfirmAck = !fails
			r.queueO.OnSettle = func(memory.Settled) error { return memory.Answer{After: 2 * time.Second} }
			r.push("a")
			r.run(t)
			finished := eventsOf[engine.Finished](r)
			require.Len(t, finished, 1)
			require.Equal(t, 3*time.Second, finished[0].Duration, name)
		})
	}
}
