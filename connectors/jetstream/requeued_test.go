package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// requeue puts every dead letter back.
func (w *world) requeue(t *testing.T) {
	t.Helper()
	requeuer := w.bus.NewRequeuer(w.pub, "")
	var seqs []uint64
	_, err := w.bus.ScanDeadLetters(t.Context(), bus.DefaultDeadStream, bus.DeadFilter{}, func(r bus.DeadRecord) error {
		seqs = append(seqs, r.Sequence)
		return nil
	})
	require.NoError(t, err)
	for _, seq := range seqs {
		back, err := requeuer.Requeue(t.Context(), bus.DefaultDeadStream, seq)
		require.NoError(t, err)
		require.False(t, back.Duplicate)
	}
}

// lateFailure sends its output, and fails after that until it is told to be well.
type lateFailure struct {
	seen *seen
	well *bool
}

func (l lateFailure) Process(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
	l.seen.note(ctx, tx.ID(), tx.Source())
	return square(ctx, tx)
}

func (l lateFailure) HandleSuccess(context.Context, ergon.Transaction[in], out) error {
	if *l.well {
		return nil
	}
	return ergon.Business("not yet")
}

// What comes back from dead letters is the transaction that failed, whatever ID it had:
// what it had sent already is sent under the same ID, and dropped as a copy.
func TestARequeuedTransactionIsWhatItWas(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"no ID":      {"Custom": {"x"}},
		"Nats ID":    {"Nats-Msg-Id": {"order 1"}},
		"CloudEvent": {"ce-id": {"a%20b"}, "ce-source": {"/s"}, "Nats-Msg-Id": {"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var s seen
			well := false
			run := func(succeeded, dead int64) {
				t.Helper()
				report, err := w.engine(t, engine.Consume("task", lateFailure{&s, &well}), 5*time.Second, nil).Run(t.Context())
				require.NoError(t, err)
				require.Equal(t, succeeded, report.Succeeded)
				require.Equal(t, dead, report.Dead)
			}
			w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`), Header: nats.Header{"Nats-Msg-Id": {"another"}}, Subject: "in.others"})
			w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`), Header: header})
			run(0, 1)
			w.requeue(t)
			run(0, 1)
			w.requeue(t)
			letter := w.all(t, "IN")
			require.Len(t, letter, 4)
			require.Equal(t, "2", letter[3].Header.Get("Ergon-Requeue"))
			require.NotEqual(t, letter[2].Header["Nats-Msg-Id"], letter[3].Header["Nats-Msg-Id"])
			require.Equal(t, letter[2].Header["Ergon-Requeue-Timestamp"], letter[3].Header["Ergon-Requeue-Timestamp"])
			require.Equal(t, "2", letter[3].Header.Get("Ergon-Requeue-Sequence"), "where it was in the first place")

			f, err := jetstream.At(t.Context(), w.bus, "IN", 4)
			require.NoError(t, err)
			first, err := jetstream.At(t.Context(), w.bus, "IN", 2)
			require.NoError(t, err)
			require.Equal(t, first.Envelope(), f.Envelope(), "looked up it is what it was, too")
			require.Equal(t, first.Info.Epoch, f.Info.Epoch)

			well = true
			run(1, 0)
			require.Len(t, s.all, 3)
			for _, a := range s.all[1:] {
				require.Equal(t, s.all[0].id, a.id)
				require.Equal(t, s.all[0].source, a.source)
				require.Equal(t, s.all[0].now, a.now)
				require.Equal(t, 1, a.n)
			}
			require.Len(t, w.all(t, "OUT"), 1, "its output was sent three times under one ID")
			require.Zero(t, w.stored(t, bus.DefaultDeadStream))
		})
	}
}

// The letter of a requeued transaction that fails again is a letter of its own, of the
// same message.
func TestADeadLetterOfARequeuedTransaction(t *testing.T) {
	w := newWorld(t)
	e := func() *engine.Engine {
		return w.engine(t, task(func(context.Context, ergon.Transaction[in]) (out, error) {
			return out{}, ergon.Business("no")
		}), 5*time.Second, nil)
	}
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`), Header: nats.Header{"Nats-Msg-Id": {"order-1"}}})
	var letters []bus.DeadRecord
	for range 3 {
		_, err := e().Run(t.Context())
		require.NoError(t, err)
		letters = letters[:0]
		_, err = w.bus.ScanDeadLetters(t.Context(), bus.DefaultDeadStream, bus.DeadFilter{}, func(r bus.DeadRecord) error {
			letters = append(letters, r)
			return nil
		})
		require.NoError(t, err)
		require.Len(t, letters, 1)
		w.requeue(t)
	}
	l := letters[0]
	require.Equal(t, 2, l.Letter.Requeue)
	require.Equal(t, "order-1", l.TransactionID)
	require.Equal(t, nats.Header{"Nats-Msg-Id": {"order-1"}}, l.Header)
	require.EqualValues(t, 1, l.Letter.Sequence)
	require.Equal(t, "IN", l.Letter.Stream)
	require.Equal(t, "in.lines", l.Letter.Subject)
	require.Positive(t, l.Letter.Timestamp)
}

// One that was parked before it failed is parked again after a requeue: the stream of
// parked ones must not take it for a copy of what it had.
func TestARequeuedTransactionIsParkedAgain(t *testing.T) {
	w := newWorld(t)
	var s seen
	var mu sync.Mutex
	well := false
	e := func() *engine.Engine {
		return w.engine(t, task(func(ctx context.Context, tx ergon.Transaction[in]) (out, error) {
			n := s.note(ctx, tx.ID(), tx.Source())
			mu.Lock()
			defer mu.Unlock()
			if well && n == 2 {
				return square(ctx, tx)
			}
			return out{}, ergon.RetryAfter(400*time.Millisecond, errors.New("busy"))
		}), 5*time.Second, parksAt(100*time.Millisecond))
	}
	w.publish(t, &nats.Msg{Data: []byte(`{"n":3}`)})
	report, err := e().Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Dead)
	w.requeue(t)
	well = true
	report, err = e().Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Deferred)
	require.EqualValues(t, 1, report.Succeeded)
	require.Len(t, s.all, 5)
	for _, a := range s.all {
		require.Equal(t, "IN:1", a.id)
		require.Equal(t, s.all[0].now, a.now)
	}
	require.Len(t, w.all(t, "OUT"), 1)
	require.False(t, strings.Contains(w.all(t, "OUT")[0].Header.Get("ce-causationid"), "#"))
}
