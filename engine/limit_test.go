package engine_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/stretchr/testify/require"
)

// R080, defect 5 of the reference: never more are started than the limit, whatever
// the batch size; the others stay in the queue.
func TestLimitIsExact(t *testing.T) {
	for _, c := range []struct{ limit, batch, concurrency int }{
		{5, 10, 4}, {5, 3, 4}, {5, 1, 1}, {1, 256, 256}, {20, 7, 3}, {30, 7, 3},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g gauge
				r := sleeper(&g)
				r.policy.Loop.Streaming = c.limit < 20
				r.policy.Loop.Limit, r.policy.Fetch.Batch.Size, r.policy.Loop.Concurrency = int64(c.limit), c.batch, c.concurrency
				r.push(names(20)...)
				report := r.run(t)
				want := min(c.limit, 20)
				require.EqualValues(t, want, report.Started)
				require.EqualValues(t, want, report.Succeeded)
				require.Len(t, r.queue.Acked(), want)
				require.Equal(t, memory.Counts{Ready: 20 - want}, r.queue.Counts())
			})
		})
	}
}

// generous is a source that returns more than it was asked for.
type generous struct {
	ergon.Source
	by int
}

func (g generous) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	return g.Source.Fetch(ctx, max+g.by)
}

// Decision e: what a source gives too much is released, not run and not lost; a
// redelivery with the ID of one that runs is no exception.
func TestSurplusIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		r := sleeper(&g)
		r.make()
		r.source = generous{r.queue.Source(), 7}
		r.policy.Loop.Limit, r.policy.Loop.Concurrency, r.policy.Fetch.Batch.Size = 4, 2, 2
		r.push("a", "b", "c", "a", "d", "b", "e", "f", "g", "h")
		report := r.run(t)
		require.EqualValues(t, 4, report.Started)
		require.EqualValues(t, 4, report.Succeeded)
		require.Equal(t, 2, g.peak())
		require.Positive(t, report.Released)
		require.Equal(t, report.Fetched, report.Succeeded+report.Released)
		require.Equal(t, 6, r.queue.Counts().Len())
	})
}

// An admitted delivery that never ran does not count against the limit.
func TestLimitCountsWhatBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			h.add("%s", tx.ID())
			time.Sleep(5 * time.Second)
			return ergon.None{}, nil
		}))
		r.queueO.Lease = time.Second
		lost := false
		r.queueO.OnExtend = func(tx ergon.Raw) error {
			if tx.ID() == "b" && !lost {
				lost = true
				return ergon.ErrLeaseLost
			}
			return nil
		}
		r.policy.Loop.Concurrency, r.policy.Loop.Limit = 1, 2
		r.push("a", "b", "c")
		report := r.run(t)
		require.EqualValues(t, 1, report.Lost)
		require.EqualValues(t, 2, report.Started)
		require.EqualValues(t, 2, report.Succeeded)
		require.Equal(t, 1, r.queue.Counts().Len())
		require.Len(t, h.all(), 2)
	})
}
