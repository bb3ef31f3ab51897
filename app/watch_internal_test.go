package app

import (
	"context"
	"strings"
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

// A task that stands still ends the run although nobody asks for /livez: the cause and
// the stacks are logged, the rest is drained, and what does not end is left behind when
// the drain has had its time.
func TestWatchdogGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := newRig(t, nil)
		stuck := r.add("stuck", func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			<-free
			return ergon.None{}, nil
		}, memory.QueueOptions{Lease: 30 * time.Second, OnExtend: func(ergon.Raw) error {
			<-free // and with it the goroutine that looks after everything
			return nil
		}}, nil)
		good := r.add("good", fine, memory.QueueOptions{}, nil)
		stuck.push(0, 1)
		good.push(0, 3)
		began := time.Now()
		r.fleet.run()
		time.Sleep(95 * time.Second)
		require.Error(t, stuck.Alive())
		require.NoError(t, r.fleet.failure(), "it is not alive for a minute yet")
		<-good.ended
		gaveUp := time.Since(began)
		require.InDelta(t, 10*time.Second+30*time.Second+time.Minute, gaveUp, float64(5*time.Second), "10 s to the first renewal, 30 s until it counts")
		err := r.fleet.failure()
		require.ErrorContains(t, err, `not alive for 1m0s (runner.watchdog): task "stuck": its leases were last looked after`)
		require.Contains(t, r.log.String(), "level=ERROR msg=\"a task is not alive, and nobody restarted the process: giving up\"")
		require.Contains(t, r.log.String(), "engine.(*flight).extend", "the stack that stands still")
		require.NotContains(t, r.log.String(), "the drain stalls")

		<-r.fleet.done
		require.InDelta(t, gaveUp+r.fleet.stopTime, time.Since(began), float64(2*time.Second))
		require.Contains(t, r.log.String(), "the drain stalls: leaving behind what does not end")
		report, ended := stuck.report()
		require.False(t, ended)
		require.EqualValues(t, 1, report.Abandoned)
		drains := r.fleet.drains()
		require.Len(t, drains, 2)
		require.False(t, drains[0].Ended)
		require.EqualValues(t, 1, drains[0].Abandoned)
		require.True(t, drains[1].Ended)
		close(free)
		<-stuck.ended
	})
}

// Without a bound nobody gives up; and a look that finds a task not alive means nothing
// by itself: a process that was stopped and goes on finds its tasks like that.
func TestWatchdogIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]func(*config.Runner){
			"off": func(c *config.Runner) { c.Watchdog = 0 }, "short": func(c *config.Runner) { c.Watchdog = policy.Duration(20 * time.Second) },
		} {
			free := make(chan struct{})
			r := newRig(t, change)
			m := r.add("stuck", func(context.Context, ergon.Transaction[string]) (ergon.None, error) { <-free; return ergon.None{}, nil },
				memory.QueueOptions{Lease: 30 * time.Second, OnExtend: func(ergon.Raw) error { <-free; return nil }}, nil)
			m.push(0, 1)
			r.fleet.run()
			time.Sleep(50 * time.Second) // not alive since some 10 s
			require.Error(t, m.Alive())
			if name == "off" {
				time.Sleep(time.Hour)
			}
			require.NoError(t, r.fleet.failure(), name)
			close(free)
			time.Sleep(time.Minute)
			require.NoError(t, m.Alive())
			r.fleet.stop()
			<-r.fleet.done
			require.NoError(t, r.fleet.failure(), name)
		}
	})
}

// More attempts that ignore their contexts than there are slots: another engine would
// not get rid of them, so the run ends at once, without a restart.
func TestStuckTasksAreNotStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := newRig(t, nil)
		m := r.add("stuck", func(context.Context, ergon.Transaction[string]) (ergon.None, error) { <-free; return ergon.None{}, nil },
			memory.QueueOptions{}, func(p *policy.Consumer) {
				p.Loop.Concurrency = 2
				p.Process.Retry.Timeout, p.Transaction.StuckAfter = policy.Duration(time.Second), policy.Duration(time.Second)
			})
		good := r.add("good", fine, memory.QueueOptions{}, nil)
		m.push(0, 10)
		r.fleet.run()
		<-r.fleet.done
		require.ErrorIs(t, r.fleet.failure(), engine.ErrStuck)
		require.EqualValues(t, 1, m.made.Load())
		require.Zero(t, m.Metrics().Restarts)
		<-good.ended
		close(free)
		synctest.Wait()
	})
}

// A forced end waits for nobody: neither for code that ignores its context nor for an
// engine that stands still.
func TestAbortedFleetEndsPromptly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := newRig(t, nil)
		hangs := func(context.Context, ergon.Transaction[string]) (ergon.None, error) { <-free; return ergon.None{}, nil }
		still := r.add("still", hangs, memory.QueueOptions{Lease: 3 * time.Second, OnExtend: func(ergon.Raw) error { <-free; return nil }}, nil)
		deaf := r.add("deaf", hangs, memory.QueueOptions{}, nil)
		waits := r.add("waits", fine, memory.QueueOptions{}, nil)
		still.push(0, 2)
		deaf.push(0, 3)
		waits.broken.Store(true)
		r.fleet.run()
		time.Sleep(5 * time.Second)
		r.fleet.stop()
		time.Sleep(2 * time.Second)
		began := time.Now()
		r.fleet.abort()
		<-r.fleet.done
		require.LessOrEqual(t, time.Since(began), forceWithin)
		require.NoError(t, r.fleet.failure(), "it was told to")
		abandoned := map[string]int64{}
		for _, d := range r.fleet.drains() {
			abandoned[d.Task] = d.Abandoned
		}
		require.Equal(t, map[string]int64{"still": 2, "deaf": 3, "waits": 0}, abandoned)
		close(free)
		<-still.ended
	})
}

// A dump of many goroutines is cut to what a log line can hold.
func TestStacksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := newRig(t, nil)
		m := r.add("many", func(context.Context, ergon.Transaction[string]) (ergon.None, error) { <-free; return ergon.None{}, nil },
			memory.QueueOptions{}, func(p *policy.Consumer) { p.Loop.Concurrency = 200 })
		m.push(0, 200)
		r.fleet.run()
		time.Sleep(time.Second)
		text := stacks()
		require.Less(t, len(text), mostStacks+100)
		require.Greater(t, len(text), mostStacks/2)
		require.Regexp(t, `… and \d+ more$`, text)
		require.NotContains(t, strings.Split(text, "\n\n")[0], "testing.tRunner")
		close(free)
		r.fleet.stop()
		<-r.fleet.done
	})
}
