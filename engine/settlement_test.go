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

// An ack that fails is tried again while the lease is kept; hooks and outputs are
// not repeated.
func TestSettleFailureIsTriedAgainUnderTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := traced(&h, &hooked[string, string]{})
		r.queueO.Lease = time.Second
		began, tries := time.Now(), 0
		r.queueO.OnSettle = func(s memory.Settled) error {
			h.add("%v", s.Settlement.Kind)
			if tries++; tries <= 6 {
				return errors.New("no connection")
			}
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.Equal(t, 6300*ms, time.Since(began), "100 ms doubled, far beyond one lease")
		require.Equal(t, []string{"process", "send", "success hook", "ack", "ack", "ack", "ack", "ack", "ack", "ack"}, h.all())
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Fetched, "the lease was kept: no redelivery")
		failed := eventsOf[engine.SettleFailed](r)
		require.Len(t, failed, 6)
		require.Equal(t, ergon.Ack, failed[0].Kind)
		require.Equal(t, 3200*ms, failed[5].Delay)
	})
}

// DESIGN §2: a dead letter that can't be stored keeps the transaction, the slot is
// free meanwhile, and a stop gives it back.
func TestDeadLetterStoreThatFailsKeepsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks := 0
		r := newRig(engine.Consume("score", &hooked[string, string]{
			process: func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
				if tx.ID() == "bad" {
					return "", ergon.Business("no")
				}
				return "fine", nil
			},
			exception: func(context.Context, ergon.Transaction[string], *ergon.Error) error { hooks++; return nil },
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 1
		r.queueO.Lease = time.Second
		r.queueO.OnSettle = func(s memory.Settled) error {
			if s.Settlement.Kind == ergon.Dead {
				return errors.New("store is full")
			}
			return nil
		}
		r.push("bad")
		_, wait := r.start(t)
		time.Sleep(time.Minute)
		r.push("good")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, r.queue.Acked(), 1, "the one slot was free")
		require.Equal(t, memory.Counts{Leased: 1}, r.queue.Counts())
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Released)
		require.EqualValues(t, 1, report.Succeeded)
		require.Zero(t, report.Abandoned)
		require.Equal(t, 1, hooks, "once per delivery")
		require.Equal(t, 1, r.queue.Counts().Len(), "nothing is lost")
	})
}

// A source may answer twice; the first answer counts.
func TestSettlementAnsweredTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.queueO.OnSettle = func(memory.Settled) error { return memory.Answer{Twice: true} }
		r.push(names(20)...)
		report := r.run(t)
		require.EqualValues(t, 20, report.Succeeded)
		require.Len(t, eventsOf[engine.Finished](r), 20)
	})
}

// An ack that was taken and whose answer says that it failed: the lease is gone,
// so the next try ends it. Nothing is repeated.
func TestSettlementTakenButReportedAsFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := traced(&h, &hooked[string, string]{})
		tries := 0
		r.queueO.OnSettle = func(memory.Settled) error {
			if tries++; tries == 1 {
				return memory.Answer{Err: errors.New("connection reset"), Done: true}
			}
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Lost)
		require.Equal(t, []string{"process", "send", "success hook"}, h.all())
		require.Len(t, r.queue.Acked(), 1)
	})
}

// A source that never answers a settlement: once the lease is gone the engine is
// done with it, instead of waiting for ever.
func TestSettlementThatIsNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.queueO.Lease = time.Second
		r.queueO.OnSettle = func(memory.Settled) error { return memory.Answer{Never: true, Done: true} }
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Lost)
		require.Len(t, r.queue.Acked(), 1)
	})
}
