package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/stretchr/testify/require"
)

// someNames makes n IDs that begin with kind.
func someNames(kind string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%05d", kind, i)
	}
	return ids
}

// Attempts that only compute take no virtual time. As soon as that is known, no more
// of them run at once than there are cores, however many slots there are.
func TestComputingTakesNoMoreWorkersThanCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if strings.HasPrefix(tx.ID(), "warm") {
				return ergon.None{}, nil
			}
			g.enter()
			defer g.leave()
			for range 3 {
				runtime.Gosched() // whoever else could begin one does
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 64
		r.push(someNames("warm", 1000)...)
		e, wait := r.start(t)
		synctest.Wait()
		r.push(someNames("short", 4000)...)
		synctest.Wait()
		require.EqualValues(t, 5000, e.Snapshot().Succeeded)
		require.LessOrEqual(t, g.peak(), runtime.GOMAXPROCS(0)+1)
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// A task that has just begun starts no worker for each of its first transactions, only as
// many as have to be seen; and all slots are used once those were seen to wait.
func TestTheFirstBatchTakesFewWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 256
		var g gauge
		release := make(chan struct{})
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			g.enter()
			defer g.leave()
			<-release
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency, r.policy.Fetch.Batch.Size = true, slots, slots
		r.push(someNames("first", slots)...)
		e, wait := r.start(t)
		synctest.Wait()
		require.Equal(t, max(16, runtime.GOMAXPROCS(0)), g.peak())
		time.Sleep(2 * ms)
		synctest.Wait()
		require.Equal(t, slots, g.peak())
		close(release)
		synctest.Wait()
		require.EqualValues(t, slots, e.Snapshot().Succeeded)
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// Where every attempt was short so far and all begin to wait, the queue stands still,
// and a moment later all slots are in use; as often as that happens.
func TestAllSlotsAreUsedOnceAttemptsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 64
		var g gauge
		release := make(chan struct{})
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if strings.HasPrefix(tx.ID(), "short") {
				return ergon.None{}, nil
			}
			g.enter()
			defer g.leave()
			<-release
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency, r.policy.Process.Retry.Timeout = true, slots, 0
		e, wait := r.start(t)
		for round := range 2 {
			g, release = gauge{}, make(chan struct{})
			r.push(someNames(fmt.Sprint("short", round), 3000)...)
			r.push(someNames(fmt.Sprint("waits", round), 2*slots)...)
			synctest.Wait()
			require.Less(t, g.peak(), slots, "they were taken for short ones")
			for took := 0; g.peak() < slots; took++ {
				require.Less(t, took, 32, "ms, with %d of %d slots in use", g.peak(), slots)
				time.Sleep(ms)
				synctest.Wait()
			}
			close(release)
			synctest.Wait()
			require.EqualValues(t, (round+1)*(3000+2*slots), e.Snapshot().Succeeded)
			require.Equal(t, slots, g.peak())
		}
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// A few that wait for an hour don't hold up the short ones, whether these come all
// together or one by one: it takes one stall to find that out and not one for each.
func TestShortOnesPassThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var short atomic.Int32
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			switch {
			case strings.HasPrefix(tx.ID(), "waits"):
				time.Sleep(time.Hour)
			case strings.HasPrefix(tx.ID(), "short"):
				short.Add(1)
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 64
		r.policy.Process.Retry.Timeout, r.policy.Transaction.Timeout = 0, 0
		cores := runtime.GOMAXPROCS(0)
		r.push(someNames("warm", 1000)...)
		e, wait := r.start(t)
		synctest.Wait()
		r.push(someNames("waits", cores)...) // as many as would keep all others out
		synctest.Wait()
		require.Equal(t, cores, e.Snapshot().Running)

		began := time.Now()
		until := func(n int32) {
			for synctest.Wait(); short.Load() < n; synctest.Wait() {
				require.Less(t, time.Since(began), 5*ms, "after %d short ones of %d", short.Load(), n)
				time.Sleep(ms)
			}
		}
		ids := someNames("short", 3500)
		r.push(ids[0])
		synctest.Wait()
		require.Zero(t, short.Load(), "a stall is waited for, or nothing is tested here")
		for n, id := range ids[1:500] {
			r.push(id)
			until(int32(n + 2))
		}
		r.push(ids[500:]...)
		until(3500)
		time.Sleep(time.Hour)
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 4500+cores, report.Succeeded)
	})
}

// What a burst of waiting attempts brought up goes again when only short ones follow.
func TestIdleWorkersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slots = 64
		cores := runtime.GOMAXPROCS(0)
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			if strings.HasPrefix(tx.ID(), "waits") {
				time.Sleep(time.Second)
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, slots
		r.push(someNames("waits", slots)...)
		e, wait := r.start(t)
		time.Sleep(2 * time.Second)
		require.Equal(t, slots, e.Workers())
		for _, id := range someNames("short", 1500) {
			r.push(id)
			synctest.Wait()
		}
		require.EqualValues(t, slots+1500, e.Snapshot().Succeeded)
		time.Sleep(10 * time.Second)
		require.LessOrEqual(t, e.Workers(), cores+1)
		_, err := wait(true)
		require.NoError(t, err)
	})
}
