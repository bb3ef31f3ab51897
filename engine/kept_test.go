package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// R016, R017: a context that code or a sink kept beyond its attempt goes on telling
// of that attempt, also if it is asked for the first time when another one runs.
func TestAKeptContextIsItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []context.Context
		var sends int
		sink := memory.NewSink(memory.SinkOptions{OnSend: func(ergon.Raw) error {
			if sends++; sends < 3 {
				return errors.New("again")
			}
			return nil
		}})
		queue := memory.NewQueue(memory.QueueOptions{})
		queue.Push(raw("a", `"a"`))
		e, err := engine.New(engine.Config{
			Task: consume(func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
				if kept = append(kept, ctx); len(kept) < 3 {
					return "", errors.New("again")
				}
				return "x", nil
			}),
			Source: queue.Source(), Policy: newRig(nothing()).policy,
			Sinks: map[string]ergon.Sink{"out": seeing{sink, func(ctx context.Context) { kept = append(kept, ctx) }}},
		})
		require.NoError(t, err)
		_, err = e.Run(t.Context())
		require.NoError(t, err)
		require.Len(t, kept, 6)
		for i, ctx := range kept {
			phase := ergon.PhaseProcess
			if i >= 3 {
				phase = ergon.PhaseProduce
			}
			x := ergon.ExecutionOf(ctx)
			require.Equal(t, phase, x.Phase)
			require.Equal(t, i%3+1, x.Attempt)
			deadline, _ := ctx.Deadline()
			require.Equal(t, deadline, x.Deadline)
		}
	})
}

// R073: the wait before a send is repeated spends none of the repetition's time.
func TestBackoffSpendsNoTimeOfASend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sends := 0
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Produce.Retry.Timeout, r.policy.Produce.Retry.Backoff = dur(time.Second), dur(5*time.Second)
		r.sinkO.OnSend = func(ergon.Raw) error {
			if sends++; sends == 1 {
				return errors.New("again")
			}
			return memory.Answer{After: 900 * ms}
		}
		r.push("a")
		require.EqualValues(t, 1, r.run(t).Retries)
	})
}

// The answer to a send that was given up is not the next one's.
func TestALateAnswerEndsNoOtherSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var sends atomic.Int32
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Produce.Retry.Timeout = dur(2 * time.Second)
		r.sinkO.OnSend = func(ergon.Raw) error {
			if sends.Add(1) == 1 {
				return memory.Answer{After: 3 * time.Second, Err: errors.New("late")}
			}
			return memory.Answer{After: time.Second}
		}
		r.push("a")
		report := r.run(t)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Retries)
		require.Greater(t, time.Since(began), 3*time.Second)
	})
}
