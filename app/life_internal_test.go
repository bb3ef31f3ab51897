package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// A task that fails is started again, with longer and longer waits, while another one
// works on; it says so while it waits, and when it runs again all of it is one task: its
// counts go on, from when they began.
func TestFailedTaskIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		bad, good := r.add("bad", fine, memory.QueueOptions{}, nil), r.add("good", fine, memory.QueueOptions{}, nil)
		bad.push(0, 10)
		r.fleet.run()
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 10, bad.succeeded())
		began := bad.Metrics()

		bad.broken.Store(true)
		bad.push(10, 30) // the fetch that waits comes back, and the next one fails
		time.Sleep(500 * time.Millisecond)
		require.Regexp(t, `^task: failed, next try in 500ms \(1 of 5\): .*fetch from memory: the source is gone$`, bad.why())
		require.Empty(t, good.why())
		require.NoError(t, bad.Alive(), "it is no reason for a new process")
		require.Contains(t, r.log.String(), `msg="task failed: starting it again" task=bad`)
		require.Contains(t, bad.Snapshot().Unready, "failed, next try in")
		held := bad.Metrics()
		require.False(t, held.Ready)

		time.Sleep(3 * time.Second) // two tries: after 1 s, and 2 s more
		require.EqualValues(t, 2, bad.Metrics().Restarts)
		bad.broken.Store(false)
		good.push(0, 5)
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 5, good.succeeded())
		require.EqualValues(t, 30, bad.succeeded())
		require.Empty(t, bad.why())
		m := bad.Metrics()
		require.Equal(t, began.Since, m.Since)
		require.EqualValues(t, 30, m.Started)
		require.EqualValues(t, 3, m.Restarts)
		require.True(t, m.Ready)
		require.Contains(t, r.log.String(), `msg="task started again" task=bad`)

		r.fleet.stop()
		<-r.fleet.done
		require.NoError(t, r.fleet.failure(), "it runs again")
		report, ended := bad.report()
		require.True(t, ended)
		require.EqualValues(t, 30, report.Succeeded)
		require.Equal(t, "bad", report.Task)
	})
}

// No look at a task's counters ever shows less than the one before, however often it is
// started again meanwhile.
func TestCountersNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *config.Runner) {
			c.Restarts, c.Backoff, c.BackoffCap = 1000, policy.Duration(time.Millisecond), policy.Duration(time.Millisecond)
		})
		m := r.add("bad", fine, memory.QueueOptions{}, nil)
		r.fleet.run()
		var last engine.Metrics
		for i := range 500 {
			m.broken.Store(i%5 == 0)
			m.push(3*i, 3*i+3)
			time.Sleep(700 * time.Microsecond)
			now := m.Metrics()
			require.GreaterOrEqual(t, now.Started, last.Started)
			require.GreaterOrEqual(t, now.Restarts, last.Restarts)
			for j, tx := range last.Transactions {
				require.GreaterOrEqual(t, now.Transactions[j].Count, tx.Count)
			}
			require.GreaterOrEqual(t, now.Batch.Count, last.Batch.Count)
			last = now
		}
		m.broken.Store(false)
		time.Sleep(time.Minute)
		require.Greater(t, last.Restarts, int64(10))
		require.EqualValues(t, 1500, m.succeeded())
		r.fleet.stop()
		<-r.fleet.done
	})
}

// One that fails again and again ends the run: the rest is drained, and the error says
// which task and why.
func TestCrashLoopEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		bad := r.add("bad", fine, memory.QueueOptions{}, nil)
		good := r.add("good", func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(40 * time.Second)
			return ergon.None{}, nil
		}, memory.QueueOptions{}, func(p *policy.Consumer) {
			p.Process.Retry.Timeout, p.Transaction.Timeout, p.Shutdown.Grace = 0, 0, policy.Duration(time.Minute)
		})
		good.push(0, 1)
		began := time.Now()
		bad.broken.Store(true)
		r.fleet.run()
		<-bad.ended
		require.Equal(t, (1+2+4+8+16)*time.Second, time.Since(began))
		<-r.fleet.done
		require.Equal(t, 40*time.Second, time.Since(began), "what ran was finished")
		err := r.fleet.failure()
		require.ErrorIs(t, err, errBroken)
		require.ErrorContains(t, err, `task "bad": it failed 6 times and was never well for 1m0s in between (runner.restarts 5): task "bad": start it again: the source is gone`)
		require.EqualValues(t, 1, good.succeeded())
		require.EqualValues(t, 6, bad.made.Load())
		require.Contains(t, bad.why(), "task: it has ended: ")
		drains := r.fleet.drains()
		require.Len(t, drains, 2)
		require.Equal(t, Drained{Task: "good", Finished: 1, Took: 9 * time.Second, Ended: true}, drains[1])
	})
}

// A minute in which it is well counts from the beginning again; one in which its engine
// merely exists, and fetches fail and are tried again, does not.
func TestAGoodMinuteIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *config.Runner) { c.Restarts = 1 })
		m := r.add("bad", fine, memory.QueueOptions{}, nil)
		r.fleet.run()
		for i := range 5 {
			m.broken.Store(true)
			m.push(i, i+1)
			time.Sleep(500 * time.Millisecond)
			m.broken.Store(false)
			time.Sleep(63 * time.Second)
			require.Empty(t, m.why())
		}
		require.EqualValues(t, 5, m.Metrics().Restarts)
		r.fleet.stop()
		<-r.fleet.done
		require.NoError(t, r.fleet.failure())

		r = newRig(t, func(c *config.Runner) { c.Restarts = 1 })
		m = r.add("bad", fine, memory.QueueOptions{}, func(p *policy.Consumer) {
			p.Fetch.Retry.MaxAttempts, p.Fetch.Retry.Jitter = 5, 0
			p.Fetch.Retry.Backoff, p.Fetch.Retry.BackoffCap = policy.Duration(30*time.Second), policy.Duration(30*time.Second)
		})
		m.broken.Store(true)
		m.makes.Store(true)
		began := time.Now()
		r.fleet.run()
		<-r.fleet.done
		require.Equal(t, (120+1+120)*time.Second, time.Since(began), "each of its engines tries for two minutes")
		require.ErrorContains(t, r.fleet.failure(), "it failed 2 times")
	})
}

// A limit and the loop's time are the task's, not its engines'; and a task that comes to
// its end so leaves the others running.
func TestLimitsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		limited := r.add("limited", fine, memory.QueueOptions{}, func(p *policy.Consumer) { p.Loop.Limit = 15 })
		timed := r.add("timed", fine, memory.QueueOptions{}, func(p *policy.Consumer) { p.Loop.Timeout = policy.Duration(time.Minute) })
		other := r.add("other", fine, memory.QueueOptions{}, nil)
		r.fleet.run()
		began := time.Now()
		for _, m := range []*member{limited, timed} {
			m.push(0, 10)
			time.Sleep(5 * time.Second)
			m.broken.Store(true)
			m.push(10, 30)
			time.Sleep(100 * time.Millisecond)
			m.broken.Store(false)
		}
		<-limited.ended
		require.EqualValues(t, 15, limited.succeeded())
		require.Empty(t, limited.why(), "it did what it was asked for")
		<-timed.ended
		require.InDelta(t, time.Minute, time.Since(began), float64(3*time.Second), "the wait between its engines is not its loop's")
		require.Contains(t, timed.why(), "task: it has ended: loop timed out")
		other.push(0, 5)
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 5, other.succeeded())
		r.fleet.stop()
		<-r.fleet.done
		require.ErrorIs(t, r.fleet.failure(), engine.ErrLoopTimeout)
		require.Len(t, r.fleet.drains(), 1, "of those that ran")
	})
}
