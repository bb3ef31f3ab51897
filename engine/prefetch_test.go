package engine_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// asking is a queue's source that keeps what the engine asked it for.
type asking struct {
	*memory.Source
	mu    sync.Mutex
	maxes []int // of Fetch
	ahead []int // of Prefetch
}

func (a *asking) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	a.mu.Lock()
	a.maxes = append(a.maxes, max)
	a.mu.Unlock()
	return a.Source.Fetch(ctx, max)
}

func (a *asking) Prefetch(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ahead = append(a.ahead, n)
}

// since returns what was asked since the last call.
func (a *asking) since() (maxes, ahead []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maxes, ahead = a.maxes, a.ahead
	a.maxes, a.ahead = nil, nil
	return maxes, ahead
}

// shortAndLong returns a streaming rig whose attempts take a second if their ID begins with
// long, and ten microseconds otherwise.
func shortAndLong(change func(*policy.Consumer)) (*rig, *asking) {
	r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
		if strings.HasPrefix(tx.ID(), "long") {
			time.Sleep(time.Second)
		} else {
			time.Sleep(10 * time.Microsecond)
		}
		return ergon.None{}, nil
	}))
	r.policy.Loop.Streaming = true
	change(&r.policy)
	r.make()
	a := &asking{Source: r.queue.Source()}
	r.source = a
	return r, a
}

// Without a setting, prefetch goes by how long attempts take: with one slot a fetch
// brings a batch of short ones, and asks for more ahead; of long ones it is one beside
// the one that runs, and none ahead.
func TestPrefetchGoesByHowLongAttemptsTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a := shortAndLong(func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Window = 1, 1000 })
		batch := r.policy.Fetch.Batch.Size
		r.push("long-first")
		e, wait := r.start(t)
		time.Sleep(2 * time.Second)
		maxes, ahead := a.since()
		require.LessOrEqual(t, slices.Max(maxes), 2, "nothing is known yet")
		require.Empty(t, ahead)

		r.push(someNames("short", 3000)...)
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 3001, e.Snapshot().Succeeded)
		maxes, ahead = a.since()
		require.Equal(t, batch, slices.Max(maxes))
		require.Equal(t, r.policy.Loop.Window-batch, slices.Max(ahead))

		r.push(someNames("long-one", 30)...)
		time.Sleep(32 * time.Second)
		_, more := a.since()
		ahead = append(ahead, more...)
		require.Zero(t, ahead[len(ahead)-1])
		r.push(someNames("long-two", 30)...)
		time.Sleep(32 * time.Second)
		require.EqualValues(t, 3061, e.Snapshot().Succeeded)
		maxes, ahead = a.since()
		require.LessOrEqual(t, slices.Max(maxes), 2)
		require.Empty(t, ahead)
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// What is set stays a bound, however short attempts are; and a limit and mode batch
// rule out to have anything beyond what is fetched.
func TestNothingIsAskedAhead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policy.Consumer)
		most   int // in one fetch
		done   int64
	}{
		"prefetch": {func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Prefetch = 4, 3 }, 4 + 3, 2000},
		"limit":    {func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Limit = 1, 1500 }, 256, 1500},
		"batch":    {func(p *policy.Consumer) { p.Loop.Concurrency, p.Loop.Mode = 1, policy.ModeBatch }, 2, 2000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, a := shortAndLong(c.change)
				r.push(someNames("short", 2000)...)
				e, wait := r.start(t)
				time.Sleep(10 * time.Second)
				require.Equal(t, c.done, e.Snapshot().Succeeded)
				maxes, ahead := a.since()
				require.LessOrEqual(t, slices.Max(maxes), c.most)
				require.Empty(t, ahead)
				_, err := wait(true)
				require.NoError(t, err)
			})
		})
	}
}
