package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
)

const (
	manyTasks = 40
	eachHas   = 1500
)

// crowd are many tasks with a backlog each, in one process with two cores.
func crowd(t *testing.T, sink func(task int) memory.SinkOptions, attempt func(task int)) []*rig {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	turns := engine.NewTurns()
	rigs := make([]*rig, manyTasks)
	for k := range rigs {
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			attempt(k)
			return tx.Payload(), nil
		}))
		r.policy.Loop.Concurrency, r.policy.Loop.Window = 256, 1024
		r.sinkO, r.turns = sink(k), turns
		for i := range eachHas {
			r.push(fmt.Sprintf("tx-%d", i))
		}
		rigs[k] = r
	}
	return rigs
}

// run runs all of them to their ends, and returns when each ended.
func together(t *testing.T, rigs []*rig) []time.Duration {
	began, took := time.Now(), make([]time.Duration, len(rigs))
	var all sync.WaitGroup
	for k, r := range rigs {
		_, wait := r.start(t)
		all.Go(func() {
			report, err := wait(false)
			took[k] = time.Since(began)
			if err != nil || report.Succeeded != eachHas || len(r.sink.All()) != eachHas {
				t.Errorf("task %d: %+v, %d stored, %v", k, report, len(r.sink.All()), err)
			}
		})
	}
	all.Wait()
	return took
}

// Many tasks with a backlog hold what a few would: eight turns, and what each of them
// fetched before it was known that its attempts are short.
func TestTasksWithABacklogTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held, most atomic.Int64
		rigs := crowd(t, func(int) memory.SinkOptions { return memory.SinkOptions{Delay: time.Millisecond} }, func(int) {
			for now := held.Add(1); ; {
				if old := most.Load(); now <= old || most.CompareAndSwap(old, now) {
					return
				}
			}
		})
		for _, r := range rigs {
			r.events.also = func(ev engine.Event) {
				if _, ok := ev.(engine.Finished); ok {
					held.Add(-1)
				}
			}
		}
		together(t, rigs)
		require.LessOrEqual(t, most.Load(), int64(8*256+manyTasks*64))
	})
}

// Who has to wait long for its confirmations keeps no other from going on, and neither does
// who has a slow service; that one isn't held up itself.
func TestATurnIsNotKeptFromOthers(t *testing.T) {
	const stuck = 15
	confirm := func(task int) memory.SinkOptions {
		if task < stuck {
			return memory.SinkOptions{Delay: 5 * time.Second}
		}
		return memory.SinkOptions{Delay: time.Millisecond}
	}
	synctest.Test(t, func(t *testing.T) {
		took := together(t, crowd(t, confirm, func(task int) {
			if task == stuck {
				time.Sleep(100 * time.Millisecond)
			}
		}))
		for task, d := range took {
			switch {
			case task < stuck:
				require.GreaterOrEqual(t, d, 10*time.Second, "task %d", task)
			case task == stuck:
				require.Less(t, d, 2*eachHas/256*100*time.Millisecond, "its slots were in use")
			default:
				require.Less(t, d, 2*time.Second, "task %d", task)
			}
		}
	})
}
