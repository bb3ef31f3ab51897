package http_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// farRecords take a millisecond for each state, and fail the first times.
type farRecords struct {
	http.Records
	fail, calls atomic.Int64
}

func (f *farRecords) Finish(ctx context.Context, id string, state http.State, reason string) error {
	time.Sleep(time.Millisecond)
	if f.calls.Add(1) <= f.fail.Load() {
		return errDown
	}
	return f.Records.Finish(ctx, id, state, reason)
}

// newFar has a record of each of n transactions, and fails so often before it takes a state.
func newFar(t *testing.T, n, fail int) (*farRecords, []ergon.Raw) {
	f := &farRecords{Records: http.NewMemoryRecords(time.Hour, n)}
	f.fail.Store(int64(fail))
	txs := make([]ergon.Raw, n)
	for i := range txs {
		txs[i] = ergon.New([]byte("x"), ergon.WithID(fmt.Sprint("tx", i)))
		_, _, err := f.Begin(t.Context(), http.Record{ID: txs[i].ID(), State: http.StateStored})
		require.NoError(t, err)
	}
	return f, txs
}

func (f *farRecords) state(t *testing.T, tx ergon.Raw) http.State {
	r, _, err := f.Get(t.Context(), tx.ID())
	require.NoError(t, err)
	return r.State
}

// A burst from a fast task waits for a store that is slower, and all of it is recorded.
func TestOutcomesOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, txs := newFar(t, 5000, 0)
		to := &told{}
		o := http.NewOutcomes(http.OutcomesConfig{Records: far, OnError: to.tell})
		began := time.Now()
		for _, tx := range txs {
			o.Tell(tx, nil)
		}
		require.NoError(t, o.Close(t.Context()))
		require.Less(t, time.Since(began), time.Second, "one after the other takes five")
		require.Zero(t, o.Dropped())
		require.Empty(t, to.all)
		for _, tx := range txs {
			require.Equal(t, http.StateSucceeded, far.state(t, tx))
		}
	})
}

// A store that fails for a while is asked again, and a later outcome of the same
// transaction does not overtake the one that waits.
func TestOutcomesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, txs := newFar(t, 1, 2)
		to := &told{}
		o := http.NewOutcomes(http.OutcomesConfig{Records: far, OnError: to.tell})
		o.Tell(txs[0], nil)
		time.Sleep(150 * time.Millisecond) // it failed twice at most
		o.Tell(txs[0], &ergon.Error{Category: ergon.CategorySystem, Err: errDown})
		require.NoError(t, o.Close(t.Context()))
		require.Equal(t, http.StateSucceeded, far.state(t, txs[0]))
		require.EqualValues(t, 4, far.calls.Load())
		require.Empty(t, to.all)
		require.Zero(t, o.Dropped())
	})
}

// A store that stays down is given up, and somebody is told, once.
func TestOutcomesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far, txs := newFar(t, 1, 1000)
		to := &told{}
		o := http.NewOutcomes(http.OutcomesConfig{Records: far, OnError: to.tell})
		began := time.Now()
		o.Tell(txs[0], nil)
		require.NoError(t, o.Close(t.Context()))
		require.Equal(t, 30*time.Second, time.Since(began))
		require.Equal(t, []string{`record that transaction "tx0" is succeeded: the bus is down`}, to.all)
		require.Greater(t, far.calls.Load(), int64(10))
	})
}

// Dropping is told when it begins, and once a minute while it goes on.
func TestOutcomesTellOfDropping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := slowRecords{http.NewMemoryRecords(time.Hour, 10), make(chan struct{}, 10), make(chan struct{})}
		to := &told{}
		o := http.NewOutcomes(http.OutcomesConfig{Records: slow, Concurrency: 1, Queue: 1, Timeout: time.Hour, OnError: to.tell})
		tx := ergon.New([]byte("x"), ergon.WithID("tx"))
		o.Tell(tx, nil)
		<-slow.begun
		o.Tell(tx, nil)
		for range 120 { // each second, the first at once
			o.Tell(tx, nil)
			time.Sleep(time.Second)
		}
		const why = `record that transaction "tx" is succeeded: dropped, because too many outcomes wait to be recorded: `
		require.Equal(t, []string{
			why + "1 were dropped so far, and their statuses stay pending",
			why + "61 were dropped so far, and their statuses stay pending",
		}, to.all)
		close(slow.let)
		require.NoError(t, o.Close(t.Context()))
		require.EqualValues(t, 120, o.Dropped())
		o.Tell(tx, nil)
		require.Len(t, to.all, 3)
		require.Contains(t, to.all[2], "because it came after the end: 121 were")
	})
}
