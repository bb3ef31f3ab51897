package jetstream_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// settle ends a delivery and waits for the answer.
func settle(t *testing.T, d ergon.Delivery, s ergon.Settlement) {
	t.Helper()
	done := make(chan error, 1)
	d.Settle(s, func(err error) { done <- err })
	require.NoError(t, <-done)
}

// The slowest of a batch keeps itself alive and nothing that came with it, neither the
// deliveries nor their payloads: it may take hours. nats.go links the messages of a
// subscription that wait for its callback, and leaves it at that.
func TestASlowDeliveryKeepsNoOther(t *testing.T) {
	w := newWorld(t)
	const batch = 100
	for i := range batch {
		w.publish(t, &nats.Msg{Data: fmt.Appendf(make([]byte, 0, 1024), `{"n":%d}`, i)})
	}
	s := w.source(t, 5*time.Second)
	var slow ergon.Delivery
	var payloads []weak.Pointer[byte]
	func() {
		for n := 0; n < batch; {
			all, err := s.Fetch(t.Context(), batch)
			require.NoError(t, err)
			for _, d := range all {
				if n++; slow == nil {
					slow = d
					continue
				}
				payloads = append(payloads, weak.Make(&d.Transaction().Payload()[0]))
				settle(t, d, ergon.Settlement{Kind: ergon.Ack})
			}
		}
	}()
	kept := func() (n int) {
		runtime.GC()
		for _, p := range payloads {
			if p.Value() != nil {
				n++
			}
		}
		return n
	}
	// nats.go holds the last that came until the next one does, and goroutines that have
	// just settled one may have it on their stacks for a moment.
	require.Eventually(t, func() bool { return kept() <= 1 }, 5*time.Second, time.Millisecond, "of %d more than one is kept", len(payloads))
	require.JSONEq(t, `{"n":0}`, string(slow.Transaction().Payload()))
	settle(t, slow, ergon.Settlement{Kind: ergon.Ack})
	require.NoError(t, s.Close(t.Context()))
}

// A delivery's Info is that of the message which is settled; its Epoch, attempt and
// first time are the transaction's, parked or not.
func TestInfoOfFreshAndParkedDeliveries(t *testing.T) {
	for name, id := range map[string]string{"plain": "", "with an ID": "order-1"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := &nats.Msg{Data: []byte(`{"n":3}`), Header: nats.Header{}}
			if id != "" {
				m.Header.Set("Nats-Msg-Id", id)
			}
			w.publish(t, &nats.Msg{Data: []byte(`{}`)}, m)
			s := w.source(t, 5*time.Second)
			next := func() ergon.Delivery {
				all, err := s.Fetch(t.Context(), 1)
				require.NoError(t, err)
				require.Len(t, all, 1)
				return all[0]
			}
			settle(t, next(), ergon.Settlement{Kind: ergon.Ack})

			fresh := next()
			first := fresh.Info()
			require.Equal(t, "IN:2", first.Stored)
			require.Equal(t, id == "", first.Epoch != "", "of one whose ID is its number: %q", first.Epoch)
			require.Equal(t, 1, first.Attempt)
			require.Equal(t, 1, first.Deliveries)
			require.True(t, first.FirstSeen.IsZero())
			require.True(t, first.CanDefer)
			settle(t, fresh, ergon.Settlement{Kind: ergon.Release})

			fresh = next()
			again := fresh.Info()
			require.Equal(t, 2, again.Deliveries)
			again.Deliveries = first.Deliveries
			require.Equal(t, first, again)

			began := time.Now().Add(-time.Hour).UTC()
			for attempt := 3; attempt <= 4; attempt++ { // parked, and parked again
				settle(t, fresh, ergon.Settlement{
					Kind: ergon.Retry, After: 300 * time.Millisecond, NextAttempt: attempt, FirstSeen: began,
					Err: &ergon.Error{Category: ergon.CategorySystem, Err: errors.New("busy")},
				})
				parked := next()
				info := parked.Info()
				require.Regexp(t, `^ERGON_PARKED:\d+$`, info.Stored)
				require.Equal(t, first.Epoch, info.Epoch)
				require.Equal(t, attempt, info.Attempt)
				require.Equal(t, 1, info.Deliveries, "of what was parked")
				require.Equal(t, began, info.FirstSeen)
				require.True(t, info.CanDefer)
				require.Equal(t, first.Lease, info.Lease)
				require.Equal(t, fresh.Transaction(), parked.Transaction())
				fresh = parked
			}
			settle(t, fresh, ergon.Settlement{Kind: ergon.Ack})
			_, err := s.Fetch(t.Context(), 1)
			require.ErrorIs(t, err, ergon.ErrDrained)
			require.NoError(t, s.Close(t.Context()))
		})
	}
}
