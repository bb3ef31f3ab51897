package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// Workers that wait for more keep nothing of what they did last: with a source that
// makes its deliveries by the batch, each would keep a whole one.
func TestIdleWorkersKeepNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 4
		var together sync.WaitGroup
		together.Add(workers)
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			together.Done()
			together.Wait() // so that each has its own worker
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, workers
		source := &scripted{fetches: make(chan []ergon.Delivery, 1)}
		r.source = source
		var given []weak.Pointer[scriptedDelivery]
		func() {
			var batch []ergon.Delivery
			for i := range workers {
				d := &scriptedDelivery{
					tx: raw(strconv.Itoa(i), `"x"`), stored: strconv.Itoa(i),
					settle: func(_ ergon.Settlement, done func(error)) { done(nil) },
				}
				batch, given = append(batch, d), append(given, weak.Make(d))
			}
			source.fetches <- batch
		}()
		e, wait := r.start(t)
		synctest.Wait()
		require.EqualValues(t, workers, e.Snapshot().Succeeded)
		runtime.GC()
		for i, d := range given {
			require.Nil(t, d.Value(), "delivery %d is kept", i)
		}
		_, err := wait(true)
		require.NoError(t, err)
	})
}

// Workers end where attempts turn out to take no time, though not before some were
// seen, and there are as many as before once attempts wait for each other.
func TestWorkersEndAndComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 256
		type round struct {
			missing atomic.Int64
			all     chan struct{}
		}
		rounds := map[string]*round{}
		for _, name := range []string{"first", "again"} {
			rounds[name] = &round{all: make(chan struct{})}
			rounds[name].missing.Store(int64(workers))
		}
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			together := rounds[strings.Fields(tx.ID())[0]]
			if together == nil {
				return ergon.None{}, nil
			}
			if together.missing.Add(-1) == 0 {
				close(together.all)
			}
			select {
			case <-together.all:
				return ergon.None{}, nil
			case <-ctx.Done():
				return ergon.None{}, ctx.Err()
			}
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, workers
		r.policy.Loop.Window, r.policy.Fetch.Batch.Size = 2*workers, workers
		push := func(name string) {
			for i := range workers {
				r.push(fmt.Sprint(name, " ", i))
			}
		}
		push("first")
		e, wait := r.start(t)
		time.Sleep(2 * ms) // until it is seen that those begun first don't return
		synctest.Wait()
		require.EqualValues(t, workers, e.Snapshot().Succeeded)
		short := someNames("short", 500)
		for _, id := range short { // one worker does them all
			r.push(id)
			synctest.Wait()
		}
		time.Sleep(10 * time.Second)
		require.Less(t, strings.Count(stacks(), "engine.(*Engine).worker("), workers/2)
		push("again")
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 2*workers+len(short), e.Snapshot().Succeeded)
		report, err := wait(true)
		require.NoError(t, err)
		require.Zero(t, report.Retries)
	})
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// That all that run are waiting is noticed also if one of them began only a moment
// ago.
func TestAStallIsNoticedAMomentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting := 2 * runtime.GOMAXPROCS(0)
		var missing atomic.Int64
		missing.Store(int64(waiting))
		all := make(chan struct{})
		r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
			switch {
			case tx.ID() == "short":
				time.Sleep(100 * time.Microsecond)
			case !strings.HasPrefix(tx.ID(), "waits"):
			case missing.Add(-1) == 0:
				close(all)
			default:
				select {
				case <-all:
				case <-ctx.Done():
					return ergon.None{}, ctx.Err()
				}
			}
			return ergon.None{}, nil
		}))
		r.policy.Loop.Streaming, r.policy.Loop.Concurrency = true, 2*waiting
		r.push(names(200)...) // now attempts are known to compute only
		e, wait := r.start(t)
		synctest.Wait()
		r.push("short")
		for i := range waiting {
			r.push(fmt.Sprint("waits ", i))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 200+1+waiting, e.Snapshot().Succeeded)
		_, err := wait(true)
		require.NoError(t, err)
	})
}
