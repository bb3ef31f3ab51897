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

// R016: the context carries the facts of the attempt, in each phase.
func TestExecutionFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		began := time.Now()
		note := func(ctx context.Context) {
			x := ergon.ExecutionOf(ctx)
			require.Equal(t, "a", x.TransactionID)
			require.Equal(t, "test", x.Source)
			require.Equal(t, "score", x.Task)
			require.Equal(t, "memory", x.Connector)
			require.Equal(t, 1, x.Delivery)
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, x.Deadline, deadline)
			h.add("%s %d/%d until %v", x.Phase, x.Attempt, x.MaxAttempts, x.Deadline.Sub(began))
		}
		r := newRig(engine.Consume("score", &hooked[string, string]{
			process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
				note(ctx)
				if ergon.ExecutionOf(ctx).Attempt == 1 {
					return "", errors.New("x")
				}
				return "x", nil
			},
			success: func(ctx context.Context, _ ergon.Transaction[string], _ string) error {
				note(ctx)
				return errors.New("x")
			},
			exception: func(ctx context.Context, _ ergon.Transaction[string], _ *ergon.Error) error { note(ctx); return nil },
		}))
		r.policy.Success.Retry.MaxAttempts = 1
		r.policy.Transaction.Timeout = dur(5 * time.Second)
		r.push("a")
		r.run(t)
		require.Equal(t, []string{
			"process 1/4 until 5s", "process 2/4 until 5s", // the transaction's is the earlier one
			"success 1/1 until 5s", "exception 1/3 until 5.1s",
		}, h.all())
	})
}

// The values of Run's context reach the task; its cancellation does not.
func TestValuesReachTheTask(t *testing.T) {
	type key struct{}
	var got any
	r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
		got = ctx.Value(key{})
		return ergon.None{}, nil
	}))
	r.push("a")
	_, err := r.engine(t).Run(context.WithValue(t.Context(), key{}, "value"))
	require.NoError(t, err)
	require.Equal(t, "value", got)
}

// R053, DESIGN §2: Now, Rand and NewID are the same at each attempt and each
// delivery, in each engine, also after parking; and differ between transactions.
func TestDeterminism(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := func(ctx context.Context) string {
			return fmt.Sprint(ergon.Now(ctx), ergon.Rand(ctx).Uint64(), ergon.Rand(ctx).Uint64(), ergon.NewID(ctx), ergon.NewID(ctx))
		}
		seen := map[string]map[string]int{}
		var hooks []string
		r := newRig(engine.Consume("score", &hooked[string, ergon.None]{
			process: func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
				if seen[tx.ID()] == nil {
					seen[tx.ID()] = map[string]int{}
				}
				seen[tx.ID()][facts(ctx)]++
				x := ergon.ExecutionOf(ctx)
				if x.Attempt < 4 {
					return ergon.None{}, errors.New("x") // waits 100 and 200 ms here, then parked for 400
				}
				if x.Delivery == 1 { // of the parked message
					<-ctx.Done() // until the stop, which gives it back
					return ergon.None{}, ctx.Err()
				}
				return ergon.None{}, nil
			},
			success: func(ctx context.Context, _ ergon.Transaction[string], _ ergon.None) error {
				hooks = append(hooks, facts(ctx))
				return nil
			},
		}))
		r.queueO.CanDefer = true
		r.policy.Loop.Concurrency = 1
		r.policy.Transaction.RedeliverOver = dur(300 * ms)
		r.policy.Shutdown.Grace = 0
		r.push("a", "b")
		_, wait := r.start(t)
		time.Sleep(2 * time.Second)
		_, err := wait(true)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		r.run(t)
		require.Len(t, seen["a"], 1, "%v", seen)
		require.Len(t, seen["b"], 1, "%v", seen)
		for facts, times := range seen["a"] {
			require.GreaterOrEqual(t, times, 4)
			require.NotContains(t, seen["b"], facts)
		}
		require.Len(t, r.queue.Acked(), 2)
		require.NotContains(t, seen["a"], hooks[0], "another phase draws other numbers")
	})
}

// R017, R110: contexts of transactions that run interleaved don't mix.
func TestContextsDoNotLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			first := ergon.NewID(ctx)
			for i := range 5 {
				time.Sleep(time.Duration(len(tx.ID())+i) * ms)
				require.Equal(t, tx.ID(), ergon.ExecutionOf(ctx).TransactionID)
				require.Equal(t, tx.ID(), tx.Payload())
			}
			return first, nil
		}))
		r.policy.Loop.Concurrency = 16
		r.push(names(64)...)
		require.EqualValues(t, 64, r.run(t).Succeeded)
		require.Len(t, r.sink.All(), 64)
		ids := map[string]bool{}
		for _, tx := range r.sink.All() {
			ids[string(tx.Payload())] = true
		}
		require.Len(t, ids, 64)
	})
}
