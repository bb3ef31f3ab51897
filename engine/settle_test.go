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
		dead := r.onlyDead(t).Settlement
		require.Equal(t, began, dead.FirstSeen)
		require.Equal(t, began.Add(700*ms), dead.Dead.FailedAt)
	})
}

// R040, R053: the facts of a deferral, with which the next delivery goes on where
// this one stopped.
func TestDeferralFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		r, _ := failing(errors.New("down"))
		var parked []ergon.Settlement
		r.queueO.CanDefer = true
		r.queueO.OnSettle = func(s memory.Settled) error {
			if s.Settlement.Kind == ergon.Retry {
				parked = append(parked, s.Settlement)
			}
			return nil
		}
		r.policy.Transaction.RedeliverOver = dur(150 * ms)
		r.push("a")
		r.run(t)
		require.Len(t, parked, 2)
		for i, s := range parked {
			failed := i + 2 // the first wait is short enough to be spent in place
			require.Equal(t, failed, s.Err.Attempt)
			require.Equal(t, failed+1, s.NextAttempt)
			require.Equal(t, ms*time.Duration(200<<i), s.After)
			require.Equal(t, began, s.FirstSeen)
			require.ErrorContains(t, s.Err, "down")
		}
	})
}
