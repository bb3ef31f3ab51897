package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// R127: the success hook waits for the confirmation of what was produced.
func TestProducerSuccessHookWaitsForTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		p := newProducing()
		p.sinkO.Delay = 3 * time.Second
		p.sinkO.OnSend = func(ergon.Raw) error { h.add("%v send", time.Since(began)); return nil }
		report, err := p.run(t.Context(), &maker[int, string]{
			produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
				h.add("%v produce", time.Since(began))
				return spell(ctx, tx)
			},
			success: func(context.Context, ergon.Transaction[int], string) error {
				h.add("%v success hook", time.Since(began))
				return nil
			},
		}, counted(1))
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Succeeded)
		require.Equal(t, []string{"0s produce", "0s send", "3s success hook"}, h.all())
	})
}

// R122: the delays of produce and of the hook are each their own policy's.
func TestProducerBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		p := newProducing()
		p.policy.Success.Retry = policy.Retry{MaxAttempts: 3, Backoff: dur(time.Second), BackoffMultiplier: 3, BackoffCap: dur(2 * time.Second)}
		_, err := p.run(t.Context(), &maker[int, string]{
			produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
				h.add("%v produce %d", time.Since(began), ergon.ExecutionOf(ctx).Attempt)
				if ergon.ExecutionOf(ctx).Attempt < 3 {
					return "", errors.New("again")
				}
				return spell(ctx, tx)
			},
			success: func(ctx context.Context, _ ergon.Transaction[int], _ string) error {
				h.add("%v success %d", time.Since(began), ergon.ExecutionOf(ctx).Attempt)
				return errors.New("again")
			},
		}, counted(1))
		require.NoError(t, err)
		require.Equal(t, []string{
			"0s produce 1", "100ms produce 2", "300ms produce 3", "300ms success 1", "1.3s success 2", "3.3s success 3",
		}, h.all())
	})
}

// R121, R128: the time of one transaction ends it for good, beside others that go
// on; the exception hook runs once, the success hook never, and the loop's time is
// another one.
func TestProducerTransactionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var ended, succeeded history
		p := newProducing()
		p.policy.Loop.Concurrency, p.policy.Loop.Timeout = 1, dur(5*time.Second)
		p.policy.Transaction.Timeout = dur(100 * ms)
		report, err := p.run(t.Context(), &maker[int, string]{
			produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
				if tx.Payload() == 1 {
					return spell(ctx, tx)
				}
				return "late", hang(ctx)
			},
			success: func(_ context.Context, tx ergon.Transaction[int], _ string) error {
				succeeded.add("%s", tx.ID())
				return nil
			},
			exception: func(ctx context.Context, tx ergon.Transaction[int], exc *ergon.Error) error {
				require.NoError(t, ctx.Err(), "it has its own time")
				ended.add("%v %s %s %d", time.Since(began), tx.ID(), exc.Category, exc.Attempt)
				return nil
			},
		}, counted(3))
		require.NoError(t, err)
		require.Equal(t, []string{"100ms 0 TIMEOUT 1", "200ms 2 TIMEOUT 1"}, ended.all())
		require.Equal(t, []string{"1"}, succeeded.all())
		require.EqualValues(t, 2, report.Dead)
		require.Len(t, report.Results, 3)
		require.NotNil(t, report.Results[0].Err)
		require.ErrorContains(t, report.Results[0].Err, "the transaction exceeded its 100ms")
		require.Len(t, p.sink.All(), 1)
	})
}

// R119: a chunk is finished before the next one is taken from the sequence.
func TestChunksAreSequential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		p := newProducing()
		p.policy.Batch.Size = 2
		_, err := p.run(t.Context(), &maker[int, string]{produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
			h.add("%v", time.Since(began))
			if tx.Payload() == 0 {
				time.Sleep(9 * time.Second)
			}
			return spell(ctx, tx)
		}}, func(yield func(ergon.Transaction[int]) bool) {
			for tx := range counted(5) {
				if h.add("%v taken", time.Since(began)); !yield(tx) {
					return
				}
			}
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{
			"0s taken", "0s taken", "0s", "0s", "9s taken", "9s taken", "9s", "9s", "9s taken", "9s",
		}, h.all())
	})
}

// R120, R126: the bound is reached and not exceeded, each transaction runs once,
// and the end of the sequence is the end: there is nothing to wait for.
func TestProducerConcurrencyIsExact(t *testing.T) {
	for name, change := range map[string]func(*policy.Producer){
		"chunk left as it is":        func(*policy.Producer) {},
		"chunk of one, continuous":   func(p *policy.Producer) { p.Batch.Size, p.Loop.Mode = 1, policy.ModeContinuous },
		"chunk of three, sequential": func(p *policy.Producer) { p.Batch.Size = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var g gauge
				var calls [9]atomic.Int32
				p := newProducing()
				change(&p.policy)
				report, err := p.run(t.Context(), &maker[int, string]{produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
					g.enter()
					defer g.leave()
					calls[tx.Payload()].Add(1)
					time.Sleep(time.Second)
					return spell(ctx, tx)
				}}, counted(9))
				require.NoError(t, err)
				require.EqualValues(t, 9, report.Succeeded)
				require.Equal(t, 3, g.peak())
				require.Equal(t, 3*time.Second, time.Since(began))
				for i := range calls {
					require.EqualValues(t, 1, calls[i].Load(), i)
				}
			})
		})
	}
}

// R122, R130: each transaction's context is its own, at each attempt and in each
// hook, and has the values of the caller's.
func TestProducerContextsAreTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var h history
		note := func(ctx context.Context, tx ergon.Transaction[int]) {
			x := ergon.ExecutionOf(ctx)
			require.Equal(t, tx.ID(), x.TransactionID)
			require.Equal(t, "value", ctx.Value(key{}))
			if tx.Payload() == 7 {
				h.add("%s %d", x.Phase, x.Attempt)
			}
		}
		p := newProducing()
		report, err := p.run(context.WithValue(t.Context(), key{}, "value"), &maker[int, string]{
			produce: func(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
				note(ctx, tx)
				time.Sleep(time.Duration(tx.Payload()) * ms)
				if note(ctx, tx); ergon.ExecutionOf(ctx).Attempt == 1 {
					return "", errors.New("again")
				}
				return spell(ctx, tx)
			},
			success: func(ctx context.Context, tx ergon.Transaction[int], out string) error {
				require.Equal(t, fmt.Sprintf("n%d", tx.Payload()), out)
				note(ctx, tx)
				return nil
			},
		}, counted(20))
		require.NoError(t, err)
		require.EqualValues(t, 20, report.Succeeded)
		require.Equal(t, []string{"produce 1", "produce 1", "produce 2", "produce 2", "success 1"}, h.all())
	})
}

// R124, R126: what an input caused names it and continues its trace; the outputs of
// two inputs differ.
func TestProducerOutputsContinueTheirInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		sink := memory.NewSink(memory.SinkOptions{})
		_, err := engine.RunSeq(t.Context(), engine.Config{
			Task: engine.Produce("make", &maker[int, string]{produce: spell}), Producer: policy.DefaultProducer(), Sinks: map[string]ergon.Sink{"out": sink},
		}, func(yield func(ergon.Transaction[int]) bool) {
			trace := ergon.WithTrace(ergon.Trace{Parent: parent, State: "a=b"})
			_ = yield(ergon.New(1, ergon.WithID("a"), ergon.WithSource("shop"), ergon.WithCorrelationID("flow"), trace)) &&
				yield(ergon.New(1, ergon.WithID("b"), ergon.WithSource("shop")))
		})
		require.NoError(t, err)
		byCause := map[string]ergon.Raw{}
		for _, tx := range sink.All() {
			byCause[tx.CausationID()] = tx
		}
		require.Len(t, byCause, 2)
		require.Equal(t, "flow", byCause["a"].CorrelationID())
		require.Equal(t, ergon.Trace{Parent: parent, State: "a=b"}, byCause["a"].Trace())
		require.Equal(t, "b", byCause["b"].CorrelationID(), "a root begins a flow")
		require.NotEqual(t, byCause["a"].ID(), byCause["b"].ID())
	})
}
