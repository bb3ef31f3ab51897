package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// R019, R105, decision h: another message with an ID that runs waits for it to
// end and then runs; it holds no slot meanwhile.
func TestAnotherMessageWithTheIDWaitsAndRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var h history
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			time.Sleep(time.Second)
			h.add("%v %s", time.Since(began), tx.ID())
			return "x", nil
		}))
		r.policy.Loop.Concurrency = 2
		r.push("a", "a", "a", "b", "c")
		report := r.run(t)
		require.ElementsMatch(t, []string{"1s a", "1s b", "2s a", "2s c", "3s a"}, h.all())
		require.EqualValues(t, 5, report.Succeeded)
		require.Len(t, r.sink.All(), 3)
		require.Equal(t, 2, r.sink.Duplicates(), "the same output again, dropped by the bus")
	})
}

// An ID is unique within its source only.
func TestTheSameIDOfAnotherSourceIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			time.Sleep(time.Second)
			return ergon.None{}, nil
		}))
		r.push("a")
		r.queue.Push(ergon.New([]byte(`"x"`), ergon.WithID("a"), ergon.WithSource("other")))
		require.EqualValues(t, 2, r.run(t).Succeeded)
		require.Equal(t, time.Second, time.Since(began))
	})
}

// noExtend makes every lease run out while the engine holds its delivery, without
// the engine noticing: each message is delivered again to the same engine.
func noExtend(r *rig, lease time.Duration) {
	r.queueO.Lease = lease
	r.queueO.OnExtend = func(ergon.Raw) error { return errors.New("no connection") }
}

// Decision h: a second delivery of the same stored message takes the first one's
// outcome; one settlement goes out, on the newest delivery.
func TestTheSameStoredMessageRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		var settled []memory.Settled
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
			runs++
			time.Sleep(2500 * ms)
			return "x", nil
		}))
		noExtend(r, time.Second)
		r.queueO.OnSettle = func(s memory.Settled) error {
			settled = append(settled, s)
			return nil
		}
		r.push("a")
		report := r.run(t)
		require.Equal(t, 1, runs)
		require.Len(t, settled, 1)
		require.Equal(t, 3, settled[0].Info.Deliveries, "the newest")
		require.EqualValues(t, 3, report.Fetched)
		require.EqualValues(t, 2, report.Merged)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Started)
		require.Len(t, r.queue.Acked(), 1)
		require.Len(t, r.sink.All(), 1)
	})
}

// The same while it waits behind another message with its ID.
func TestAWaitingDeliveryIsReplacedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
			runs++
			time.Sleep(2400 * ms)
			return "x", nil
		}))
		noExtend(r, time.Second)
		r.push("a", "a")
		report := r.run(t)
		require.Equal(t, 2, runs, "two messages")
		require.EqualValues(t, 2, report.Succeeded)
		require.Len(t, r.queue.Acked(), 2)
		require.EqualValues(t, report.Fetched-2, report.Merged)
	})
}

// A redelivery that comes while the settlement is on its way can't replace it: it
// waits, and takes the outcome once it is known.
func TestRedeliveryDuringTheSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		source := &scripted{fetches: make(chan []ergon.Delivery, 2)}
		tx := raw("a", `"a"`)
		answer := make(chan func(error), 1)
		old := &scriptedDelivery{tx: tx, stored: "7", settle: func(_ ergon.Settlement, done func(error)) { answer <- done }}
		var again []ergon.SettleKind
		newer := &scriptedDelivery{tx: tx, stored: "7", settle: func(s ergon.Settlement, done func(error)) {
			again = append(again, s.Kind)
			done(nil)
		}}
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
			runs++
			return ergon.None{}, nil
		}))
		r.source = source
		source.fetches <- []ergon.Delivery{old}
		_, wait := r.start(t)
		done := <-answer
		source.fetches <- []ergon.Delivery{newer}
		synctest.Wait()
		close(source.fetches)
		require.Empty(t, again)
		done(nil)
		report, err := wait(false)
		require.NoError(t, err)
		require.Equal(t, 1, runs)
		require.Equal(t, []ergon.SettleKind{ergon.Ack}, again)
		require.EqualValues(t, 1, report.Succeeded)
		require.EqualValues(t, 1, report.Merged)
	})
}

// scripted is a source that returns what a test sends it; drained once closed.
type scripted struct{ fetches chan []ergon.Delivery }

func (s *scripted) Fetch(ctx context.Context, _ int) ([]ergon.Delivery, error) {
	select {
	case ds, ok := <-s.fetches:
		if !ok {
			return nil, ergon.ErrDrained
		}
		return ds, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *scripted) Close(context.Context) error { return nil }

type scriptedDelivery struct {
	tx     ergon.Raw
	stored string
	lease  time.Duration
	extend func() error
	settle func(ergon.Settlement, func(error))
}

func (d *scriptedDelivery) Transaction() ergon.Raw { return d.tx }
func (d *scriptedDelivery) Info() ergon.DeliveryInfo {
	return ergon.DeliveryInfo{Stored: d.stored, Lease: d.lease}
}

func (d *scriptedDelivery) Extend(context.Context) error {
	if d.extend == nil {
		return nil
	}
	return d.extend()
}
func (d *scriptedDelivery) Settle(s ergon.Settlement, done func(error)) { d.settle(s, done) }

// R019 under load: many messages of few IDs, with redeliveries, retries and
// failing settlements; no ID ever runs twice at once, and every message ends.
func TestNoIDRunsTwiceAtOnceConcurrentSafe(t *testing.T) {
	var mu sync.Mutex
	running := map[string]bool{}
	r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
		mu.Lock()
		if running[tx.ID()] {
			t.Errorf("%s runs twice at once", tx.ID())
		}
		running[tx.ID()] = true
		fail := rand.IntN(5) == 0
		mu.Unlock()
		time.Sleep(time.Duration(rand.IntN(int(200 * time.Microsecond))))
		mu.Lock()
		running[tx.ID()] = false
		mu.Unlock()
		if fail {
			return "", ergon.RetryAfter(0, errors.New("x"))
		}
		return tx.ID(), nil
	}))
	r.queueO.Lease = 20 * ms
	r.queueO.OnExtend = func(ergon.Raw) error {
		if rand.IntN(2) == 0 {
			return errors.New("no connection")
		}
		return nil
	}
	r.queueO.OnSettle = func(memory.Settled) error {
		if rand.IntN(20) == 0 {
			return errors.New("no connection")
		}
		return nil
	}
	r.policy.Loop.Concurrency, r.policy.Loop.Window = 8, 64
	for i := range 400 {
		r.push(fmt.Sprintf("id-%d", i%7))
	}
	report := r.run(t)
	require.Equal(t, 400, len(r.queue.Acked())+len(r.queue.DeadLetters()))
	require.Equal(t, report.Fetched, report.Succeeded+report.Dead+report.Merged+report.Lost+report.Released, "every delivery ended: %+v", report)
	for _, ev := range eventsOf[engine.Finished](r) {
		require.True(t, strings.HasPrefix(ev.Transaction.ID(), "id-"))
	}
}
