package bus_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// Each test is named after what it keeps from happening: docs/reference/lessons.md.

// What has waited, unfetched, until its ack deadline is over is somebody else's: it
// is dropped, and not run besides.
func TestLesson01WhatWaitedTooLongIsDropped(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 500 * time.Millisecond })
	p := puller(t, b, bus.PullConfig{Lease: 500 * time.Millisecond})
	_, err := p.Fetch(ctx, 1, nil) // leaves a request open
	require.ErrorIs(t, err, bus.ErrDrained)
	fillNumbered(t, b, 1)
	receive(ctx, t, p.Ready())
	// Nobody fetches it, and another gets it.
	other := puller(t, b, bus.PullConfig{})
	msgs, err := other.Fetch(ctx, 1, nil)
	require.NoError(t, err)
	require.NoError(t, b.ConfirmAck(ctx, msgs[0]))
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained, "it was done by the other")
	require.EqualValues(t, 1, p.Expired())
}

// A consumer whose ack deadline is made shorter is followed by what waits here.
func TestLesson05BufferedMessagesFollowTheDeadline(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	p := puller(t, b, bus.PullConfig{Lease: 10 * patience})
	_, err := p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
	fillNumbered(t, b, 1)
	receive(ctx, t, p.Ready())
	p.SetLease(time.Nanosecond)
	short, cancel := context.WithCancel(ctx)
	result := fetching(short, p, 1)
	require.Eventually(t, func() bool { return p.Expired() == 1 }, patience, time.Millisecond)
	cancel()
	require.ErrorIs(t, receive(ctx, t, result), context.Canceled)
}

// A server that has lost our requests answers questions about the consumer all the
// same. Those answers are no sign of life of the requests.
func TestLesson28LostRequestsAreNoticedThoughTheServerAnswers(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	// Questions come every second at most: more often than the silence lasts that
	// is noticed.
	p := puller(t, b, bus.PullConfig{Expires: time.Minute, Heartbeat: 600 * time.Millisecond})
	result := fetching(ctx, p, 10)
	receive(ctx, t, f.pulls) // and is forgotten
	again := receive(ctx, t, f.pulls)
	require.Equal(t, 10, again.Batch)
	f.deliver(again, "x", 0)
	require.NoError(t, receive(ctx, t, result))
}

// One pull request brings many messages, so a round trip is not paid for each.
func TestLesson40OneRequestBringsMany(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, "")
	p := puller(t, b, bus.PullConfig{})
	result := fetching(ctx, p, 100)
	first := receive(ctx, t, f.pulls)
	require.Equal(t, 100, first.Batch)
	for i := range 100 {
		f.deliver(first, strconv.Itoa(i), 0)
	}
	require.NoError(t, receive(ctx, t, result))
	for got := p.Progress().Came; got < 100; got = p.Progress().Came {
		require.NoError(t, ctx.Err())
		require.NoError(t, receive(ctx, t, fetching(ctx, p, 100)))
	}
}

// Publishing has a connection of its own and a bound on what is on its way, so that
// a flood of it does not starve who consumes.
func TestLesson42AFloodOfPublishingStarvesNoConsumer(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	require.NotSame(t, b.ConsumeConn(), b.PublishConn())
	require.LessOrEqual(t, bus.DefaultWindow, 1024)
	topology(t, b)
	const n = 500
	fillNumbered(t, b, n)
	_, err := b.EnsureStream(ctx, bus.Stream{Name: "FLOOD", Subjects: []string{"flood"}})
	require.NoError(t, err)
	pub := publisher(t, b, bus.PublisherConfig{})
	flood, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for flood.Err() == nil {
			pub.Publish(flood, &nats.Msg{Subject: "flood", Data: make([]byte, 1000)}, func(bus.PubAck, error) {})
		}
	}()
	require.Len(t, drain(ctx, t, puller(t, b, bus.PullConfig{}), 50), n)
	stop()
	<-ended
}

// Whoever does not fetch blocks nobody else on the connection: no callback of the
// client waits for a caller.
func TestLesson43ASlowCallerBlocksNobody(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	_, _, err := b.EnsureConsumer(ctx, bus.Consumer{Stream: "S", Durable: "other"})
	require.NoError(t, err)
	const n = 2000
	slow := puller(t, b, bus.PullConfig{})
	_, err = slow.Fetch(ctx, n, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
	fillNumbered(t, b, n) // all of it is asked for, and none of it fetched
	require.Eventually(t, func() bool { return slow.Progress().Came == n }, patience, time.Millisecond)
	require.Len(t, drain(ctx, t, puller(t, b, bus.PullConfig{Stream: "S", Durable: "other"}), 50), n)
	msgs, err := slow.Fetch(ctx, n, nil)
	require.NoError(t, err)
	require.Len(t, msgs, n, "and loses nothing")
}

// A publisher is given its connection, and leaves it to whoever gave it.
func TestTrapAPublisherLeavesItsConnection(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	require.NoError(t, publisher(t, b, bus.PublisherConfig{}).Close(ctx))
	require.True(t, b.Status().Connected)
	fillNumbered(t, b, 1)
}
