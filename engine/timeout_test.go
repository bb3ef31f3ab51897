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

// R073, defect 2 of the reference: a timeout bounds each attempt, interrupts it
// really, and does not bound their sum.
func TestAttemptTimeoutCancelsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var ended []time.Duration
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, ergon.ExecutionOf(ctx).Deadline, deadline)
			require.Equal(t, time.Second, time.Until(deadline))
			<-ctx.Done()
			require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			ended = append(ended, time.Since(began))
			return ergon.None{}, ctx.Err()
		}))
		r.policy.Process.Retry.Timeout = dur(time.Second)
		r.push("a")
		r.run(t)
		require.Equal(t, []time.Duration{1000 * ms, 2100 * ms, 3300 * ms, 4700 * ms}, ended)
		err := r.onlyDead(t).Settlement.Err
		require.Equal(t, ergon.CategoryTimeout, err.Category)
		require.ErrorContains(t, err, "attempt 4 of process exceeded its 1s")
	})
}

// What an attempt returns after its time does not count: not a result, not an
// error that would have been final.
func TestLateResultIsATimeout(t *testing.T) {
	for name, late := range map[string]error{"nil": nil, "business": ergon.Business("late")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
					if attempts++; attempts == 1 {
						time.Sleep(time.Second) // ignores its context
						return "late", late
					}
					return "in time", nil
				}))
				r.policy.Process.Retry.Timeout = dur(time.Second)
				r.push("a")
				require.EqualValues(t, 1, r.run(t).Succeeded)
				require.Equal(t, 2, attempts)
				require.Equal(t, `"in time"`, string(r.sink.All()[0].Payload()))
				require.ErrorIs(t, eventsOf[engine.AttemptEnded](r)[0].Err, ergon.CategoryTimeout)
			})
		})
	}
}

// R081, defect 3: the transaction's timeout ends what runs for good; the
// exception hook runs once, within its own time; the success hook never.
func TestTransactionTimeoutIsFinal(t *testing.T) {
	for name, c := range map[string]struct {
		process func(context.Context) error
		at      time.Duration
		calls   int
	}{
		"in the first attempt": {func(ctx context.Context) error { <-ctx.Done(); return nil }, 3 * time.Second, 1},
		"in a backoff":         {func(context.Context) error { return ergon.RetryAfter(2*time.Second, errors.New("x")) }, 3 * time.Second, 2},
		"ignored by the task":  {func(context.Context) error { time.Sleep(5 * time.Second); return nil }, 5 * time.Second, 1},
		"in a later attempt": {func(ctx context.Context) error {
			if ergon.ExecutionOf(ctx).Attempt == 1 {
				return errors.New("x")
			}
			<-ctx.Done()
			return ctx.Err()
		}, 3 * time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				calls, hooks := 0, 0
				r := newRig(engine.Consume("score", &hooked[string, string]{
					process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
						calls++
						return "late", c.process(ctx)
					},
					success: func(context.Context, ergon.Transaction[string], string) error {
						t.Error("success hook")
						return nil
					},
					exception: func(ctx context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
						hooks++
						require.NoError(t, ctx.Err(), "decision f: it has its own budget")
						require.Equal(t, c.at, time.Since(began))
						require.Equal(t, ergon.CategoryTimeout, exc.Category)
						require.ErrorContains(t, exc, "the transaction exceeded its 3s")
						return nil
					},
				}))
				// Were it deferred, it would begin a new life with new time.
				r.queueO.CanDefer, r.policy.Transaction.RedeliverOver = true, dur(10*time.Second)
				r.policy.Transaction.Timeout = dur(3 * time.Second)
				r.push("a")
				report := r.run(t)
				require.EqualValues(t, 1, report.Dead)
				require.Equal(t, c.calls, calls)
				require.Equal(t, 1, hooks)
				require.Equal(t, c.calls, r.onlyDead(t).Settlement.Err.Attempt, "the number of the last attempt that ran")
				require.Empty(t, r.sink.All())
			})
		})
	}
}

// A retry that waits for a slot when the transaction's time ends is not run.
func TestNothingRunsAfterTheTransactionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%s%d", tx.ID(), ergon.ExecutionOf(ctx).Attempt)
			if tx.ID() == "slow" {
				time.Sleep(2 * time.Second)
				return ergon.None{}, nil
			}
			require.NoError(t, ctx.Err(), "an attempt begins with a context that has ended")
			return ergon.None{}, errors.New("x")
		}))
		r.policy.Loop.Concurrency = 1
		r.policy.Transaction.Timeout = dur(time.Second)
		r.push("a", "slow")
		r.run(t)
		require.Equal(t, []string{"a1", "slow1"}, h.all())
		require.Len(t, r.queue.DeadLetters(), 2)
		require.ErrorContains(t, r.queue.DeadLetters()[1].Settlement.Err, "the transaction exceeded its 1s")
	})
}

// The wait for a bulkhead spends no attempt time, and is bounded by the
// transaction's.
func TestTransactionTimeoutWhileWaitingForTheBulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%s", tx.ID())
			<-ctx.Done()
			return ergon.None{}, ctx.Err()
		}))
		r.policy.Process.Bulkhead.MaxConcurrency = 1
		r.policy.Transaction.Timeout = dur(time.Second)
		r.push("a", "b")
		require.EqualValues(t, 2, r.run(t).Dead)
		require.Len(t, h.all(), 1)
		for _, dead := range r.queue.DeadLetters() {
			require.ErrorContains(t, dead.Settlement.Err, "the transaction exceeded its 1s")
		}
	})
}

// DESIGN §2: once an output was handed to a sink the transaction's timeout cancels
// nothing: produce ends by its own budget. The success hook is part of the
// transaction's time again.
func TestTransactionTimeoutDoesNotCancelASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Transaction.Timeout = dur(time.Second)
		r.sinkO.Delay = 3 * time.Second
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.Zero(t, report.Retries)
	})
}

// A success hook whose transaction is already late is not begun: nobody would
// count what it did.
func TestSuccessHookIsNotBegunLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := traced(&h, &hooked[string, string]{})
		r.policy.Transaction.Timeout = dur(time.Second)
		r.sinkO.Delay = 3 * time.Second
		r.push("a")
		r.run(t)
		require.Equal(t, []string{"process", "send", "exception hook", "dead"}, h.all())
		require.Equal(t, ergon.PhaseSuccess, r.onlyDead(t).Settlement.Err.Phase)
	})
}

// R079, decision i: the loop's timeout ends the run with ErrLoopTimeout, after
// what ran was cancelled, given back and waited for.
func TestLoopTimeout(t *testing.T) {
	for name, streaming := range map[string]bool{"until empty": false, "streaming (defect 6)": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				returned := false
				r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
					<-ctx.Done()
					require.ErrorIs(t, ctx.Err(), context.Canceled)
					time.Sleep(time.Second) // some work to end
					returned = true
					return ergon.None{}, ctx.Err()
				}))
				r.policy.Loop.Streaming, r.policy.Loop.Timeout = streaming, dur(5*time.Second)
				r.push("a")
				report, err := r.engine(t).Run(t.Context())
				require.ErrorIs(t, err, engine.ErrLoopTimeout)
				require.True(t, returned)
				require.Equal(t, 6*time.Second, time.Since(began))
				require.EqualValues(t, 1, report.Released)
				require.Equal(t, 1, r.queue.Counts().Len(), "it is given back")
			})
		})
	}
}

// The loop's timeout also ends a run that only waits for its last transactions.
func TestLoopTimeoutWhileFinishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			<-ctx.Done()
			return ergon.None{}, ctx.Err()
		}))
		bad := errors.New("source is gone")
		fetches := 0
		r.queueO.OnFetch = func(int) error {
			if fetches++; fetches > 1 {
				return bad
			}
			return nil
		}
		r.policy.Fetch.Retry.MaxAttempts = 1
		r.policy.Process.Retry.Timeout = 0
		r.policy.Loop.Timeout = dur(5 * time.Second)
		r.push("a")
		report, err := r.engine(t).Run(t.Context())
		require.ErrorIs(t, err, bad)
		require.ErrorIs(t, err, engine.ErrLoopTimeout)
		require.Equal(t, 5*time.Second, time.Since(began), "cancelled at once, without the grace of a stop")
		require.EqualValues(t, 1, report.Released)
	})
}
