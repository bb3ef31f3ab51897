package jetstream_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// What is looked up is what a source delivers: the same transaction, with the facts
// that the IDs of its outputs depend on, and the same dead letter.
func TestLookedUpIsWhatIsDelivered(t *testing.T) {
	w := newWorld(t)
	for _, h := range []nats.Header{
		nil,
		{"Nats-Msg-Id": {"mine"}, "X-Kind": {"a", "b"}},
		{"ce-id": {"a%20b"}, "ce-source": {"/s"}, "ce-time": {"2026-01-02T03:04:05Z"}, "Ergon-Meta-tenant": {"blue"}, "ce-subject": {"k"}},
	} {
		_, err := w.bus.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "in.lines", Header: h, Data: []byte("x")})
		require.NoError(t, err)
	}
	source := w.source(t, time.Minute)
	var delivered []ergon.Delivery
	for len(delivered) < 3 {
		some, err := source.Fetch(t.Context(), 3)
		require.NoError(t, err)
		delivered = append(delivered, some...)
	}
	for i, d := range delivered {
		f, err := jetstream.At(t.Context(), w.bus, "IN", uint64(i+1))
		require.NoError(t, err)
		require.Equal(t, d.Transaction().Envelope(), f.Envelope())
		require.Equal(t, "x", string(f.Payload()))
		require.Equal(t, d.Info().Stored, f.Info.Stored)
		require.Equal(t, d.Info().Epoch, f.Info.Epoch)
		require.Equal(t, i == 0, f.Info.Epoch != "", "only what has no ID of its own has one")

		failed := ergon.Settlement{Kind: ergon.Dead, Err: &ergon.Error{Category: ergon.CategoryBusiness, Task: "task", Phase: ergon.PhaseProcess, Attempt: 1, Err: context.Canceled}}
		settled := make(chan error, 2)
		d.Settle(failed, func(err error) { settled <- err })
		require.NoError(t, <-settled)
		w.letters.Store(t.Context(), f.Message, f.Letter(source.String(), failed), func(err error) { settled <- err })
		require.NoError(t, <-settled)
		letter, err := w.bus.DeadLetterAt(t.Context(), bus.DefaultDeadStream, uint64(i+1))
		require.NoError(t, err)
		require.Equal(t, f.ID(), letter.TransactionID)

		dead := jetstream.OfDeadLetter(letter, []byte("x"))
		require.Equal(t, f.ID(), dead.ID())
		require.Equal(t, f.Raw.Source(), dead.Raw.Source())
		require.Equal(t, f.Metadata(), dead.Metadata())
		require.Equal(t, f.CreatedAt(), dead.CreatedAt())
		require.Equal(t, f.Info.Epoch, dead.Info.Epoch, "its outputs have the IDs that they had")
		require.Equal(t, "in.lines", dead.Message.Subject)
	}
	_, err := w.bus.DeadLetterAt(t.Context(), bus.DefaultDeadStream, 4)
	require.ErrorIs(t, err, bus.ErrNoDeadLetter, "the same failure told twice is stored once")
	require.NoError(t, source.Close(t.Context()))
}

// What a sink would publish is what it does publish.
func TestHeadersAreWhatIsPublished(t *testing.T) {
	w := newWorld(t)
	tx := ergon.New([]byte("x"), ergon.WithID("a b"), ergon.WithKey("k"), ergon.WithMetadata("n", "1"), ergon.WithMetadata("n", "2"), ergon.WithContentType("text/plain"))
	var mu sync.Mutex
	var told []bool
	sink, err := jetstream.NewSink(w.pub, "out.x", jetstream.Telling(func(got ergon.Raw, duplicate bool) {
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, tx.ID(), got.ID())
		told = append(told, duplicate)
	}))
	require.NoError(t, err)
	for range 2 {
		sent := make(chan error, 1)
		sink.Send(t.Context(), tx, func(err error) { sent <- err })
		require.NoError(t, <-sent)
	}
	require.Equal(t, []bool{false, true}, told)
	m, err := w.bus.MessageAt(t.Context(), "OUT", 1)
	require.NoError(t, err)
	require.Equal(t, m.Msg.Header, jetstream.Headers(tx))
	f := jetstream.Unstored(tx)
	require.Equal(t, m.Msg.Header, f.Message.Header)
	require.Equal(t, tx.Envelope(), f.Envelope())

	refused, err := jetstream.NewSink(w.pub, "out.x", jetstream.InStream("IN"), jetstream.Telling(func(ergon.Raw, bool) { t.Error("told of what went astray") }))
	require.NoError(t, err)
	sent := make(chan error, 1)
	refused.Send(t.Context(), tx, func(err error) { sent <- err })
	require.ErrorContains(t, <-sent, `stream "OUT" has stored it, and not "IN"`)
}
