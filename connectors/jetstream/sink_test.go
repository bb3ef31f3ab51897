package jetstream_test

import (
	"testing"

	"github.com/nats-io/nats.go"
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
