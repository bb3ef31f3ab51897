package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/stretchr/testify/require"
)

// slowsDown returns a rig with one slot whose attempts take no time until there were
// 500, and then one that takes an hour.
func slowsDown(slow time.Duration) *rig {
	var runs atomic.Int64
	r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		if runs.Add(1) == 501 {
			time.Sleep(slow)
		}
		return ergon.None{}, nil
	}))
	r.policy.Loop.Concurrency = 1
	r.policy.Process.Retry.Timeout = 0
	r.policy.Transaction.Timeout = 0
	r.push(names(2000)...)
	return r
}

// What was fetched ahead for attempts that took no time is given back when they
// begin to take long: another process would otherwise wait for what lies here
// (LESSONS 1).
func TestSlowAttemptsGiveBackWhatWasFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowsDown(time.Hour)
		_, wait := r.start(t)
		time.Sleep(100 * ms)
		require.Greater(t, r.queue.Counts().Leased, 30, "nothing was fetched ahead, so this test shows nothing")
		time.Sleep(5 * time.Second)
		require.Equal(t, 2, r.queue.Counts().Leased)

		_, waitOther := r.start(t)
		time.Sleep(time.Second)
		require.Equal(t, 2, r.queue.Counts().Len(), "another engine does all meanwhile but what runs and what is next")
		time.Sleep(time.Hour)
		report, err := wait(false)
		require.NoError(t, err)
		require.EqualValues(t, 502, report.Succeeded)
		other, err := waitOther(false)
		require.NoError(t, err)
		require.EqualValues(t, 1498, other.Succeeded)
	})
}

// A pause as short as a machine makes now and then gives nothing back.
func TestAShortPauseGivesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowsDown(800 * ms)
		report := r.run(t)
		require.EqualValues(t, 2000, report.Succeeded)
		require.Zero(t, report.Released)
	})
}

// A prefetch that was set is kept.
func TestASetPrefetchIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := slowsDown(time.Minute)
		r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 4, 4
		report := r.run(t)
		require.EqualValues(t, 2000, report.Succeeded)
		require.Zero(t, report.Released)
	})
}
