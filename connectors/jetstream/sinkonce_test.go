package jetstream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// sendOnce is SendOnce, waited for.
func sendOnce(t *testing.T, sink *jetstream.Sink, tx ergon.Raw) (stored func(context.Context) (ergon.Raw, bool, error), err error) {
	t.Helper()
	answered := make(chan struct{})
	sink.SendOnce(t.Context(), tx, func(s func(context.Context) (ergon.Raw, bool, error), e error) {
		stored, err = s, e
		close(answered)
	})
	<-answered
	return stored, err
}

// Of what the stream has already, SendOnce tells what that is, for as long as it is there;
// whether another one was sent under the ID is for the caller to see.
func TestSendOnce(t *testing.T) {
	w := newWorld(t)
	var told []bool
	sink, err := jetstream.NewSink(w.pub, "out.lines", jetstream.InStream("OUT"), jetstream.Telling(func(_ ergon.Raw, duplicate bool) {
		told = append(told, duplicate)
	}))
	require.NoError(t, err)
	one := ergon.New([]byte("x"), ergon.WithID("id 1"), ergon.WithSource("/s"), ergon.WithContentType("text/plain"))
	stored, err := sendOnce(t, sink, one)
	require.NoError(t, err)
	require.Nil(t, stored)

	stored, err = sendOnce(t, sink, ergon.With(one, []byte("y")))
	require.NoError(t, err)
	require.NotNil(t, stored)
	had, ok, err := stored(t.Context())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "x", string(had.Payload()))
	require.Equal(t, one.Envelope(), had.Envelope())
	require.Equal(t, []bool{false, true}, told)
	require.Len(t, w.all(t, "OUT"), 1)

	stream, err := w.bus.JetStream().Stream(t.Context(), "OUT")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 1))
	_, ok, err = stored(t.Context())
	require.NoError(t, err)
	require.False(t, ok, "it is gone")
	require.NoError(t, w.bus.JetStream().DeleteStream(t.Context(), "OUT"))
	_, _, err = stored(t.Context())
	require.ErrorContains(t, err, "OUT")

	_, err = sendOnce(t, sink, ergon.New(make([]byte, 2<<20)))
	require.Equal(t, ergon.CategoryBusiness, ergon.CategoryOf(err))
	require.NoError(t, sink.Close(t.Context()))
	_, err = sendOnce(t, sink, one)
	require.ErrorIs(t, err, ergon.ErrClosed)
}
