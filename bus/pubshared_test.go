package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// Publishers of one bus share what hears their confirmations, and nothing else: one whose
// stream does not answer holds up no other, and its end is its own.
func TestPublishersHoldUpNoOther(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.>")
	mute := publisher(t, b, bus.PublisherConfig{Window: 1, Timeout: patience})
	subscriptions := b.PublishConn().NumSubscriptions()
	other := publisher(t, b, bus.PublisherConfig{Window: 2, Timeout: patience})
	require.Equal(t, subscriptions, b.PublishConn().NumSubscriptions())

	unanswered := publish(ctx, mute, nats.NewMsg("t.mute"))
	late := receive(ctx, t, stream)
	for seq := range 200 { // more than slots are made at once
		open := publish(ctx, other, nats.NewMsg("t.x"))
		confirm(t, receive(ctx, t, stream), seq+1)
		require.EqualValues(t, seq+1, receive(ctx, t, open).ack.Sequence)
	}
	kept := publish(ctx, other, nats.NewMsg("t.x"))
	m := receive(ctx, t, stream)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.Error(t, mute.Close(short))
	require.ErrorIs(t, receive(ctx, t, unanswered).err, bus.ErrUnknown)
	require.Empty(t, kept)

	next := publish(ctx, other, nats.NewMsg("t.x")) // in whichever slot
	n := receive(ctx, t, stream)
	confirm(t, late, 999)
	confirm(t, m, 201)
	confirm(t, n, 202)
	require.EqualValues(t, 201, receive(ctx, t, kept).ack.Sequence)
	require.EqualValues(t, 202, receive(ctx, t, next).ack.Sequence)
	require.NoError(t, other.Flush(ctx))
}

// A Publisher that is made when all others are closed has one that listens.
func TestPublisherAfterTheLast(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	for range 3 {
		p := publisher(t, b, bus.PublisherConfig{})
		require.NoError(t, receive(ctx, t, publish(ctx, p, nats.NewMsg("s.x"))).err)
		require.NoError(t, p.Close(ctx))
	}
}

// The time that one gives its messages is its own.
func TestPublishersKeepTheirOwnTime(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	long := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	short := publisher(t, b, bus.PublisherConfig{Timeout: 20 * time.Millisecond})
	last := publish(ctx, long, nats.NewMsg("t.x"))
	m := receive(ctx, t, stream)
	require.ErrorIs(t, receive(ctx, t, publish(ctx, short, nats.NewMsg("t.x"))).err, bus.ErrUnknown)
	require.Empty(t, last)
	confirm(t, m, 1)
	require.NoError(t, receive(ctx, t, last).err)
}
