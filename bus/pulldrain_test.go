package bus_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

const (
	noMessage  = `{"error":{"code":404,"err_code":10037,"description":"no message found"}}`
	oneMessage = `{"message":{"subject":"a.x","seq":8,"data":"eA=="}}`
)

// A server raises a consumer's pending count after it has confirmed a message,
// so a consumer whose counts are 0 is not drained while its stream holds more.
func TestPullerAsksTheStreamBeforeItIsDrained(t *testing.T) {
	ctx := testContext(t)
	f, b := newFake(t, `{"stream_name":"S","name":"d","delivered":{"stream_seq":7},"config":{"filter_subjects":["a.>","b"]}}`)
	p := puller(t, b, bus.PullConfig{})

	result := fetching(ctx, p, 10)
	request := receive(ctx, t, f.pulls)
	first := receive(ctx, t, f.looks)
	require.Equal(t, look{Seq: 8, Next: "a.>"}, look{Seq: first.Seq, Next: first.Next})
	first.answer(t, oneMessage)
	receive(ctx, t, f.looks).answer(t, noMessage)
	second := receive(ctx, t, f.looks)
	require.Equal(t, look{Seq: 8, Next: "b"}, look{Seq: second.Seq, Next: second.Next})
	second.answer(t, oneMessage)
	open := receive(ctx, t, f.looks)
	f.deliver(request, "late", 0)
	require.NoError(t, receive(ctx, t, result), "what was stored is delivered, not drained")

	result = fetching(ctx, p, 10)
	open.answer(t, noMessage) // to the question of a Fetch that has ended
	receive(ctx, t, f.looks).answer(t, `{"error":{"code":500,"err_code":10008,"description":"not now"}}`)
	receive(ctx, t, f.looks).answer(t, noMessage)
	receive(ctx, t, f.looks).answer(t, noMessage)
	require.ErrorIs(t, receive(ctx, t, result), bus.ErrDrained)

	result = fetching(ctx, p, 10)
	receive(ctx, t, f.looks).answer(t, `{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`)
	require.ErrorIs(t, receive(ctx, t, result), bus.ErrStreamGone)
}

// Everything that is confirmed as stored before a run until empty begins is
// fetched by it.
func TestPullerIsNotDrainedJustAfterAPublish(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	pub := publisher(t, b, bus.PublisherConfig{})
	p := puller(t, b, bus.PullConfig{})
	for round := range 30 {
		const n = 200
		var stored atomic.Int64
		done := make(chan struct{})
		for i := range n {
			pub.Publish(ctx, &nats.Msg{Subject: "s.x", Data: []byte(strconv.Itoa(i))}, func(_ bus.PubAck, err error) {
				if err != nil {
					t.Error(err)
				}
				if stored.Add(1) == n {
					close(done)
				}
			})
		}
		receive(ctx, t, done)
		require.Len(t, drain(ctx, t, p, 500), n, "round %d", round)
	}
}

// Where the stream may not be asked, counts that stay 0 decide.
func TestPullerIsDrainedWhereTheStreamMayNotBeAsked(t *testing.T) {
	ctx := testContext(t)
	s := plainServer(t, func(o *natsserver.Options) {
		o.JetStream = true
		o.Users = []*natsserver.User{
			{Username: "admin", Password: "secret"},
			{Username: "worker", Password: "secret", Permissions: &natsserver.Permissions{
				Publish: &natsserver.SubjectPermission{Deny: []string{"$JS.API.STREAM.MSG.GET.>"}},
			}},
		}
	})
	topology(t, connect(t, bus.Config{URL: s.ClientURL(), User: "admin", Password: "secret"}))
	b := connect(t, bus.Config{URL: s.ClientURL(), User: "worker", Password: "secret"})
	p := puller(t, b, bus.PullConfig{})
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := p.Fetch(short, 1, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded, "not at the first look")
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
}
