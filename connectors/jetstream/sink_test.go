package jetstream_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// What another stream than the configured one confirms is not where it is looked
// for: the send has failed, and may be tried again.
func TestSinkExpectsItsStream(t *testing.T) {
	w := newWorld(t)
	send := func(stream string) error {
		sink, err := jetstream.NewSink(w.pub, "out.lines", jetstream.InStream(stream))
		require.NoError(t, err)
		answer := make(chan error, 1)
		sink.Send(t.Context(), ergon.New([]byte("x")), func(err error) { answer <- err })
		return <-answer
	}
	require.NoError(t, send("OUT"))
	err := send("ELSEWHERE")
	require.ErrorContains(t, err, `publish to "out.lines": stream "OUT" has stored it, and not "ELSEWHERE"`)
	require.Equal(t, ergon.CategorySystem, ergon.CategoryOf(err))
}

// A retried send is the same message: the stream has it already, and that is
// success.
func TestSendingTwiceStoresOnce(t *testing.T) {
	w := newWorld(t)
	sink, err := jetstream.NewSink(w.pub, "out.lines")
	require.NoError(t, err)
	tx := ergon.New([]byte("x"))
	for range 2 {
		answer := make(chan error, 1)
		sink.Send(t.Context(), tx, func(err error) { answer <- err })
		require.NoError(t, <-answer)
	}
	all := w.all(t, "OUT")
	require.Len(t, all, 1)
	require.Equal(t, tx.ID(), all[0].Header.Get(nats.MsgIdHdr))
}

// What the way to the stream is to blame for makes a sink unready, until something is
// stored again; what no stream would take does not.
func TestSinkHealth(t *testing.T) {
	w := newWorld(t)
	sink, err := jetstream.NewSink(w.pub, "out.lines", jetstream.InStream("OUT"))
	require.NoError(t, err)
	send := func(payload []byte) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answer := make(chan error, 1)
		sink.Send(ctx, ergon.New(payload), func(err error) { answer <- err })
		return <-answer
	}
	require.NoError(t, send([]byte("x")))
	require.NoError(t, sink.Health())
	require.Error(t, send(make([]byte, 2<<20)), "larger than the server takes")
	require.NoError(t, sink.Health())

	require.NoError(t, w.bus.JetStream().DeleteStream(t.Context(), "OUT"))
	failed := send([]byte("x"))
	require.Error(t, failed)
	require.Equal(t, failed, sink.Health())
	_, err = w.bus.JetStream().CreateStream(t.Context(), natsjs.StreamConfig{Name: "OUT", Subjects: []string{"out.>"}})
	require.NoError(t, err)
	eventually(t, func() bool { return send([]byte("x")) == nil })
	require.NoError(t, sink.Health())
}
