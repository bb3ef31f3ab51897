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

// worker returns a streaming rig with two slots whose task takes d, or until it is
// cancelled.
func worker(h *history, d time.Duration) *rig {
	r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
		h.add("%s.%d", tx.ID(), ergon.ExecutionOf(ctx).Attempt)
		select {
		case <-time.After(d):
			return "x", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))
	r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 2
	r.policy.Process.Retry.Timeout = 0
	r.policy.Shutdown.Grace = dur(10 * time.Second)
	return r
}

// DESIGN §2: a stop lets what runs finish, and gives back what never started, at
// once: it does not wait for the rest.
func TestStopFinishesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := worker(&h, 5*time.Second)
		r.push("a", "a", "b", "c", "d") // two run, one waits for its ID, two are queued
		_, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		time.AfterFunc(100*ms, func() { require.Equal(t, memory.Counts{Leased: 2, Ready: 3}, r.queue.Counts()) })
		report, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, time.Since(began))
		require.ElementsMatch(t, []string{"a.1", "b.1"}, h.all())
		require.EqualValues(t, 2, report.Succeeded)
		require.EqualValues(t, 3, report.Released)
		require.Zero(t, report.Abandoned)
		require.Equal(t, 3, r.queue.Counts().Ready)
		require.Equal(t, []engine.Stopping{{Task: "score", Held: 5}}, eventsOf[engine.Stopping](r))
		require.Len(t, eventsOf[engine.Ended](r), 1)
	})
}

// Past the grace what runs is cancelled and given back, without a hook, without a
// dead letter, and without counting the attempt.
func TestStopCancelsPastTheGrace(t *testing.T) {
	for name, grace := range map[string]time.Duration{"grace": 10 * time.Second, "none": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h history
				r := worker(&h, time.Hour)
				r.policy.Transaction.Timeout = 0
				r.policy.Shutdown.Grace = dur(grace)
				r.push("a", "b")
				_, wait := r.start(t)
				time.Sleep(time.Second)
				began := time.Now()
				report, err := wait(true)
				require.NoError(t, err)
				require.Equal(t, grace, time.Since(began))
				require.EqualValues(t, 2, report.Released)
				require.Zero(t, report.Retries)
				require.Empty(t, r.queue.DeadLetters())

				r.policy.Loop.Streaming = false
				r.task = consume(func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
					require.Equal(t, 1, ergon.ExecutionOf(ctx).Attempt, "it was not counted")
					require.Equal(t, 2, ergon.ExecutionOf(ctx).Delivery)
					return "x", nil
				})
				require.EqualValues(t, 2, r.run(t).Succeeded)
			})
		})
	}
}

// A backoff goes on within the grace, and is cut at its end.
func TestStopDuringABackoff(t *testing.T) {
	for name, c := range map[string]struct {
		after     time.Duration
		succeeded int64
	}{"within the grace": {5 * time.Second, 1}, "beyond it": {time.Minute, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
					if n++; n == 1 {
						return "", ergon.RetryAfter(c.after, errors.New("x"))
					}
					return "x", nil
				}))
				r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(10*time.Second)
				r.push("a")
				_, wait := r.start(t)
				time.Sleep(time.Second)
				report, err := wait(true)
				require.NoError(t, err)
				require.Equal(t, c.succeeded, report.Succeeded)
				require.Equal(t, 1-c.succeeded, report.Released)
				require.Empty(t, r.queue.DeadLetters())
			})
		})
	}
}

// Abort ends the grace.
func TestAbortCutsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := worker(&h, time.Minute)
		r.push("a")
		e, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { e.Abort(); e.Abort() })
		report, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.EqualValues(t, 1, report.Released)
	})
}

// A task that ignores its context is abandoned, and Run returns within StopTime;
// its message comes back when its lease ends, and nothing that it then returns is
// settled.
func TestTaskThatIgnoresItsContextIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			if ergon.ExecutionOf(ctx).Delivery == 1 {
				<-free
			}
			return "x", nil
		}))
		r.queueO.Lease = 10 * time.Second
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(10*time.Second)
		r.push("a", "b", "c", "d", "e")
		_, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		report, err := wait(true)
		require.NoError(t, err)
		require.Equal(t, 16*time.Second, time.Since(began))
		require.LessOrEqual(t, time.Since(began), engine.StopTime(r.policy.Shutdown))
		require.EqualValues(t, 4, report.Abandoned)
		require.EqualValues(t, 1, report.Released)
		require.Equal(t, 5, r.queue.Counts().Len())

		r.policy.Loop.Streaming = false
		again := r.run(t)
		require.EqualValues(t, 5, again.Succeeded)
		close(free)
		time.Sleep(time.Minute)
		require.Len(t, r.queue.Acked(), 5)
		require.Len(t, r.sink.All(), 5)
	})
}

// What is on its way to a sink is waited for, beyond the grace: it can't be called
// back.
func TestStopWaitsForConfirmations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(time.Second)
		r.sinkO.Delay = 5 * time.Second
		r.push("a")
		_, wait := r.start(t)
		time.Sleep(time.Second)
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
	})
}

// A sink that stays silent does not keep Run beyond StopTime.
func TestStopWithASilentSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(time.Second)
		r.policy.Produce.Retry.Timeout = 0
		r.sinkO.OnSend = func(ergon.Raw) error { return memory.Answer{Never: true} }
		r.push("a")
		_, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Abandoned)
		require.LessOrEqual(t, time.Since(began), engine.StopTime(r.policy.Shutdown))
		require.Equal(t, 1, r.queue.Counts().Len())
	})
}

// A source that takes no settlement any more: what could not be given back is
// abandoned, and Run returns.
func TestStopWithASourceThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(time.Second)
		r.queueO.OnSettle = func(memory.Settled) error { return errors.New("no connection") }
		r.push("a", "b")
		_, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 2, report.Abandoned)
		require.Len(t, eventsOf[engine.Finished](r), 2)
		require.LessOrEqual(t, time.Since(began), engine.StopTime(r.policy.Shutdown))
	})
}

// A context that has already ended: nothing is fetched, and everything is closed.
func TestRunWithAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
	queue.Push(raw("a", `"a"`))
	source := queue.Source()
	e, err := engine.New(engine.Config{
		Task: outputs(), Source: source, Sinks: map[string]ergon.Sink{"a": sink, "b": sink}, Policy: newRig(nothing()).policy,
	})
	require.NoError(t, err)
	report, err := e.Run(ctx)
	require.NoError(t, err)
	require.Zero(t, report.Fetched)
	require.Equal(t, 1, queue.Counts().Ready)
	_, err = source.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ergon.ErrClosed)
	var answer error
	sink.Send(t.Context(), raw("x", "1"), func(err error) { answer = err })
	require.ErrorIs(t, answer, ergon.ErrClosed)
}

// What waits for another with its ID is given back once, also if that other one ends
// before the source has answered.
func TestStopReleasesWhatWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		releases := 0
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming = true
		r.queueO.OnSettle = func(s memory.Settled) error {
			if s.Settlement.Kind != ergon.Release {
				return nil
			}
			releases++
			return memory.Answer{After: 2 * time.Second}
		}
		r.push("same", "same")
		_, wait := r.start(t)
		time.Sleep(100 * ms)
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Released)
		require.Equal(t, 1, releases)
	})
}
