package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// A task that ignores its context is reported with its stack, its transaction
// ends TIMEOUT and unretried, its slot goes on with others, and its late result
// changes nothing.
func TestStuckTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var handled atomic.Int64
		var calls history
		r := newRig(engine.Consume("score", &hooked[string, string]{
			process: func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
				calls.add("%s", tx.ID())
				if tx.ID() == "stuck" {
					<-release // it ignores its context
				}
				return tx.Payload(), nil
			},
			exception: func(_ context.Context, _ ergon.Transaction[string], exc *ergon.Error) error {
				handled.Add(1)
				if exc.Category != ergon.CategoryTimeout || exc.Attempt != 1 {
					return errors.New("wrong error")
				}
				return nil
			},
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 1, 1
		r.policy.Transaction.StuckAfter = dur(time.Minute)
		r.push("stuck", "a", "b")
		began := time.Now()
		report := r.run(t)
		require.ElementsMatch(t, []string{"stuck", "a", "b"}, calls.all())
		require.EqualValues(t, 2, report.Succeeded, "the one slot was replaced")
		require.EqualValues(t, 1, report.Dead)
		require.EqualValues(t, 1, report.Stuck)
		require.EqualValues(t, 1, handled.Load())
		require.GreaterOrEqual(t, time.Since(began), 70*time.Second, "10 s of timeout and a minute of patience")
		events := eventsOf[engine.Stuck](r)
		require.Len(t, events, 1)
		require.True(t, events[0].Replaced)
		require.Contains(t, events[0].Stack, "TestStuckTask")
		for _, ev := range eventsOf[engine.AttemptEnded](r) {
			if ev.Err != nil && ev.Phase == ergon.PhaseProcess {
				require.GreaterOrEqual(t, ev.Duration, 70*time.Second, "it ran all that time")
				require.Less(t, ev.Duration, 80*time.Second)
			}
		}
		dead := r.onlyDead(t)
		require.ErrorContains(t, dead.Settlement.Err, "stuck: attempt 1 of process ignored its cancelled context for 1m0s")
		require.NoError(t, dead.Settlement.Dead.HandlerErr)
		close(release)
		synctest.Wait()
		require.Len(t, r.sink.All(), 2, "the late result is not sent")
	})
}

// While stuck code runs, no attempt of its ID starts beside it (RFC-000 §6.4).
func TestStuckIDStaysGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var running, most, calls atomic.Int64
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if calls.Add(1) == 1 {
				<-release
			}
			return ergon.None{}, nil
		}))
		r.policy.Transaction.StuckAfter = dur(time.Second)
		r.policy.Loop.Streaming = true
		r.push("same", "same")
		_, wait := r.start(t)
		time.Sleep(time.Minute) // virtual
		require.EqualValues(t, 1, calls.Load(), "the second message with the ID waits for the code, not for the outcome")
		require.Len(t, r.queue.DeadLetters(), 1)
		close(release)
		synctest.Wait()
		require.EqualValues(t, 2, calls.Load())
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, most.Load())
	})
}

// A stuck retry, a stuck hook and a stuck exception hook end the same way.
func TestStuckElsewhere(t *testing.T) {
	for name, phase := range map[string]ergon.Phase{"retry": ergon.PhaseProcess, "success": ergon.PhaseSuccess, "exception": ergon.PhaseException} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				hang := func() error { <-release; return nil }
				attempts := 0
				h := &hooked[string, ergon.None]{}
				h.process = func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
					attempts++
					switch {
					case name == "retry" && attempts == 2:
						return ergon.None{}, hang()
					case name == "retry":
						return ergon.None{}, errors.New("again")
					case name == "exception":
						return ergon.None{}, ergon.Business("no")
					}
					return ergon.None{}, nil
				}
				if name == "success" {
					h.success = func(context.Context, ergon.Transaction[string], ergon.None) error { return hang() }
				}
				if name == "exception" {
					h.exception = func(context.Context, ergon.Transaction[string], *ergon.Error) error { return hang() }
				}
				r := newRig(engine.Consume("score", h))
				r.policy.Transaction.StuckAfter = dur(time.Second)
				r.push("a")
				report := r.run(t)
				require.EqualValues(t, 1, report.Dead)
				dead := r.onlyDead(t).Settlement
				if name == "exception" {
					require.ErrorContains(t, dead.Dead.HandlerErr, "stuck")
				} else {
					require.Equal(t, phase, dead.Err.Phase)
					require.ErrorContains(t, dead.Err, "stuck")
				}
				close(release)
				synctest.Wait()
			})
		})
	}
}

// A slot is replaced under a cap. Beyond it only a new process helps: Run ends
// and says so, and what did not run is given back.
func TestStuckBeyondTheCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			<-release
			return ergon.None{}, nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 2, 2
		r.policy.Transaction.StuckAfter = dur(time.Second)
		r.policy.Shutdown.Grace = dur(time.Second)
		r.push(names(10)...)
		report, err := r.engine(t).Run(t.Context())
		require.ErrorIs(t, err, engine.ErrStuck)
		require.EqualValues(t, 4, report.Started, "two slots and their replacements")
		require.EqualValues(t, report.Started, report.Dead+report.Abandoned)
		require.Equal(t, 10, r.queue.Counts().Len()+len(r.queue.DeadLetters()))
		close(release)
		synctest.Wait()
	})
}

// Without stuck_after a task is waited for as long as it takes.
func TestStuckAfterOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(time.Hour) // virtual
			return ergon.None{}, nil
		}))
		r.policy.Process.Retry.MaxAttempts = 1
		r.policy.Transaction.StuckAfter = 0
		r.push("a")
		report := r.run(t)
		require.Zero(t, report.Stuck)
		require.EqualValues(t, 1, report.Dead, "its hour was over its 10 s all the same")
	})
}

// R076: the slot that stood in for one with stuck code is gone once that returns.
func TestStuckCodeThatReturnsLeavesNoSlotMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var g gauge
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if tx.ID() == "stuck" {
				<-release
				return ergon.None{}, nil
			}
			g.enter()
			defer g.leave()
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 2
		r.policy.Transaction.StuckAfter = dur(time.Second)
		r.push("stuck")
		e, wait := r.start(t)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, e.Snapshot().Dead)
		r.push(names(6)...)
		time.Sleep(500 * ms)
		close(release) // while both slots are busy
		time.Sleep(time.Minute)
		require.EqualValues(t, 6, e.Snapshot().Succeeded)
		require.Equal(t, 2, g.peak())
		_, err := wait(true)
		require.NoError(t, err)
	})
}
