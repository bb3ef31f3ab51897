package engine_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
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
