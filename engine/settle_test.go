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

// traced returns a rig whose task, sink and queue write down what they are asked,
// in its order.
func traced(h *history, task *hooked[string, string]) *rig {
	traced := &hooked[string, string]{
		process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			h.add("process")
			if task.process == nil {
				return "out", nil
			}
			return task.process(ctx, tx)
		},
		success: func(ctx context.Context, tx ergon.Transaction[string], out string) error {
			h.add("success hook")
			if task.success == nil {
				return nil
			}
			return task.success(ctx, tx, out)
		},
		exception: func(ctx context.Context, tx ergon.Transaction[string], exc *ergon.Error) error {
			h.add("exception hook")
			if task.exception == nil {
				return nil
			}
			return task.exception(ctx, tx, exc)
		},
	}
	r := newRig(engine.Consume("score", traced))
	r.queueO.OnSettle = func(s memory.Settled) error {
		h.add("%v", s.Settlement.Kind)
		return nil
	}
	r.sinkO.OnSend = func(ergon.Raw) error {
		h.add("send")
		return nil
	}
	return r
}

// R018, DESIGN §2: outputs, then the success hook, then the ack.
func TestOrderOfSuccess(t *testing.T) {
	var h history
	r := traced(&h, &hooked[string, string]{
		success: func(_ context.Context, _ ergon.Transaction[string], out string) error {
			require.Equal(t, "out", out)
			return nil
		},
	})
	r.push("a")
	r.run(t)
	require.Equal(t, []string{"process", "send", "success hook", "ack"}, h.all())
}

// Nothing is acknowledged, and no success is told, before what it caused is
// stored: the confirmation takes three seconds.
func TestNoAckBeforeTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := traced(&h, &hooked[string, string]{})
		r.sinkO.Delay = 3 * time.Second
		r.push("a")
		_, wait := r.start(t)
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		require.Equal(t, []string{"process", "send"}, h.all())
		require.Equal(t, 1, r.queue.Counts().Leased)
		report, err := wait(false)
		require.NoError(t, err)
		require.Equal(t, []string{"process", "send", "success hook", "ack"}, h.all())
		require.EqualValues(t, 1, report.Outputs)
	})
}

// R107: the exception hook once, then the dead letter; never the success hook.
func TestOrderOfFailure(t *testing.T) {
	var h history
	r := traced(&h, &hooked[string, string]{
		process: func(context.Context, ergon.Transaction[string]) (string, error) { return "", ergon.Business("no") },
	})
	r.push("a")
	r.run(t)
	require.Equal(t, []string{"process", "exception hook", "dead"}, h.all())
	require.NoError(t, r.onlyDead(t).Settlement.Dead.HandlerErr)
}

// R093, R117: a success hook that fails is tried again by its own policy, unless
// it is BUSINESS (decision c); then the exception hook and a dead letter with
// phase success follow. Nothing that was sent is undone.
func TestSuccessHookThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		calls int
	}{"system": {errors.New("x"), 3}, "business": {ergon.Business("no"), 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h history
				r := traced(&h, &hooked[string, string]{
					success: func(context.Context, ergon.Transaction[string], string) error { return c.err },
				})
				r.push("a")
				report := r.run(t)
				want := []string{"process", "send"}
				for range c.calls {
					want = append(want, "success hook")
				}
				require.Equal(t, append(want, "exception hook", "dead"), h.all())
				dead := r.onlyDead(t).Settlement
				require.Equal(t, ergon.PhaseSuccess, dead.Err.Phase)
				require.Equal(t, c.calls, dead.Err.Attempt)
				require.Equal(t, 1, dead.Dead.Outputs)
				require.Equal(t, 1, dead.Dead.Confirmed)
				require.Zero(t, dead.Dead.Unknown)
				require.Len(t, r.sink.All(), 1)
				require.EqualValues(t, 1, report.Dead)
				require.Zero(t, report.Succeeded, "decision b: one final outcome")
			})
		})
	}
}

// R094, DESIGN §2: whatever becomes of the exception hook, the dead letter is
// stored, with its error beside the cause.
func TestExceptionHookThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		hook     func(context.Context) error
		calls    int
		category ergon.Category
	}{
		"system":   {func(context.Context) error { return errors.New("broken hook") }, 3, ergon.CategorySystem},
		"business": {func(context.Context) error { return ergon.Business("broken hook") }, 1, ergon.CategoryBusiness},
		"panics":   {func(context.Context) error { panic("broken hook") }, 3, ergon.CategorySystem},
		"hangs":    {func(ctx context.Context) error { <-ctx.Done(); return nil }, 3, ergon.CategoryTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				r := newRig(engine.Consume("score", &hooked[string, string]{
					process: func(context.Context, ergon.Transaction[string]) (string, error) { return "", ergon.Business("cause") },
					exception: func(ctx context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
						calls++
						require.ErrorContains(t, exc, "cause")
						return c.hook(ctx)
					},
				}))
				r.push("a")
				require.EqualValues(t, 1, r.run(t).Dead)
				require.Equal(t, c.calls, calls)
				dead := r.onlyDead(t).Settlement
				require.Equal(t, ergon.CategoryBusiness, dead.Err.Category)
				require.Equal(t, ergon.PhaseProcess, dead.Err.Phase)
				require.ErrorIs(t, dead.Dead.HandlerErr, c.category)
				finished := eventsOf[engine.Finished](r)
				require.Len(t, finished, 1)
				require.Equal(t, dead.Dead.HandlerErr, finished[0].HandlerErr)
			})
		})
	}
}

// The facts of a dead letter.
func TestDeadLetterFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		r, _ := failing(errors.New("down"))
		r.push("a")
		r.run(t)
		facts := r.onlyDead(t).Settlement.Dead
		require.Equal(t, began, facts.FirstSeen)
		require.Equal(t, began.Add(700*ms), facts.FailedAt)
	})
}

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
