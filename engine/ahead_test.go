package engine_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/stretchr/testify/require"
)

// allowed is a source that notes what it may ask for beyond a fetch.
type allowed struct {
	ergon.Source
	ahead []int
}

func (a *allowed) Prefetch(n int) { a.ahead = append(a.ahead, n) }

// paced returns a rig with one slot for transactions that take no time, followed by
// some that take a second each, and the most that any fetch asked for.
func paced() (r *rig, source *allowed, most *int) {
	r = newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
		if tx.ID() >= "tx-200" {
			time.Sleep(time.Second)
		}
		return ergon.None{}, nil
	}))
	most = new(int)
	r.queueO.OnFetch = func(n int) error {
		*most = max(*most, n)
		return nil
	}
	r.policy.Loop.Concurrency, r.policy.Loop.Window, r.policy.Fetch.Batch.Size = 1, 16, 8
	r.push(names(220)...)
	source = &allowed{Source: r.queue.Source()}
	r.source = source
	return r, source, most
}

// Without a setting a fetch brings a batch of what is soon begun, and the source may
// ask for as much more as the window holds; both end once attempts are slow.
func TestPrefetchGoesByTheSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source, most := paced()
		require.EqualValues(t, 220, r.run(t).Succeeded)
		require.Equal(t, 8, *most, "the batch")
		require.NotEmpty(t, source.ahead)
		require.Equal(t, 16-8, slices.Max(source.ahead), "the rest of the window")
		require.Zero(t, source.ahead[len(source.ahead)-1], "nothing once attempts are slow")
	})
}

// A setting bounds what is held unstarted, however fast attempts are.
func TestPrefetchSettingRulesSpeedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source, most := paced()
		r.policy.Loop.Prefetch = 1
		require.EqualValues(t, 220, r.run(t).Succeeded)
		require.Equal(t, 1+1, *most)
		require.Empty(t, source.ahead)
	})
}

// R080: nothing is asked for that a limit leaves to others.
func TestNothingAheadWithALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, source, _ := paced()
		r.policy.Loop.Limit = 150
		require.EqualValues(t, 150, r.run(t).Succeeded)
		require.Empty(t, source.ahead)
	})
}
