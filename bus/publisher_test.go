package bus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestPublisherConfirmsEachOnce(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{Window: 100})
	const publishers, each = 4, 2500
	results := make(chan outcome, 2*publishers*each)
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for range each {
				p.Publish(ctx, nats.NewMsg("s.x"), func(a bus.PubAck, err error) { results <- outcome{a, err} })
			}
		})
	}
	wg.Wait()
	require.NoError(t, p.Flush(ctx))
	require.Len(t, results, publishers*each)
	seen := make(map[uint64]bool)
	for range publishers * each {
		got := <-results
		require.NoError(t, got.err)
		require.False(t, got.ack.Duplicate)
		require.False(t, got.ack.Resent)
		seen[got.ack.Sequence] = true
	}
	require.Len(t, seen, publishers*each)
}

func TestPublisherReportsDuplicates(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{})
	m := &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Msg-Id": {"one"}}}
	first := receive(ctx, t, publish(ctx, p, m))
	require.NoError(t, first.err)
	require.False(t, first.ack.Duplicate)
	second := receive(ctx, t, publish(ctx, p, m))
	require.NoError(t, second.err)
	require.True(t, second.ack.Duplicate)
	require.False(t, second.ack.Resent)
	require.Equal(t, first.ack.Sequence, second.ack.Sequence)
	require.Equal(t, "S", second.ack.Stream())
	require.Empty(t, m.Reply, "the caller's message is not touched")
	require.Empty(t, bus.PubAck{}.Stream())
}

// held plays a stream whose confirmations the test sends.
func held(t *testing.T, b *bus.Bus, subject string) <-chan *nats.Msg {
	t.Helper()
	c := make(chan *nats.Msg, 1000)
	sub, err := b.ConsumeConn().Subscribe(subject, func(m *nats.Msg) { c <- m })
	require.NoError(t, err)
	require.NoError(t, b.ConsumeConn().Flush())
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return c
}

func confirm(t *testing.T, m *nats.Msg, seq int) {
	t.Helper()
	require.NoError(t, m.Respond(fmt.Appendf(nil, `{"stream":"T", "seq":%d}`, seq)))
}

func TestPublisherWindow(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Window: 2, Timeout: patience})
	first := publish(ctx, p, nats.NewMsg("t.x"))
	second := publish(ctx, p, nats.NewMsg("t.x"))
	one, two := receive(ctx, t, stream), receive(ctx, t, stream)

	// Full: this one can only wait until its context ends.
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	got := receive(ctx, t, publish(short, p, nats.NewMsg("t.x")))
	require.ErrorIs(t, got.err, context.DeadlineExceeded)
	require.NotErrorIs(t, got.err, bus.ErrUnknown, "it was not sent")
	require.Empty(t, stream)

	third := make(chan (<-chan outcome), 1)
	go func() { third <- publish(ctx, p, nats.NewMsg("t.x")) }()
	confirm(t, one, 1)
	require.NoError(t, receive(ctx, t, first).err)
	last := receive(ctx, t, stream)
	confirm(t, two, 2)
	confirm(t, last, 3)
	require.EqualValues(t, 2, receive(ctx, t, second).ack.Sequence)
	require.EqualValues(t, 3, receive(ctx, t, receive(ctx, t, third)).ack.Sequence)
}

// A confirmation that comes after its message was given up is not taken for
// that of the slot's next message.
func TestPublisherLateConfirmation(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Window: 1, Timeout: patience})
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	lost := publish(short, p, nats.NewMsg("t.x"))
	got := receive(ctx, t, lost)
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	require.ErrorIs(t, got.err, context.DeadlineExceeded)
	require.False(t, bus.Permanent(got.err))
	late := receive(ctx, t, stream)

	next := publish(ctx, p, nats.NewMsg("t.x"))
	current := receive(ctx, t, stream)
	require.NotEqual(t, late.Reply, current.Reply)
	confirm(t, late, 111)
	confirm(t, late, 112)
	require.NoError(t, late.Respond([]byte(`{"error":{"code":400,"err_code":10054}}`)))
	confirm(t, current, 222)
	confirm(t, current, 223) // a second stream's, say
	got = receive(ctx, t, next)
	require.NoError(t, got.err)
	require.EqualValues(t, 222, got.ack.Sequence)
	// Whatever those replies did would be seen in the slot's next use.
	third := publish(ctx, p, nats.NewMsg("t.x"))
	confirm(t, receive(ctx, t, stream), 333)
	require.EqualValues(t, 333, receive(ctx, t, third).ack.Sequence)
	require.NoError(t, p.Close(ctx))
	require.Empty(t, lost)
	require.Empty(t, next)
}

func TestPublisherTimeout(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Timeout: 20 * time.Millisecond})
	got := receive(ctx, t, publish(ctx, p, nats.NewMsg("t.x")))
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	require.ErrorContains(t, got.err, `"t.x"`)
}

func TestPublisherIgnoresWhoIsNoStream(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	result := publish(ctx, p, nats.NewMsg("t.x"))
	m := receive(ctx, t, stream)
	for _, noise := range []string{"hello", "{}", `{"stream":"S"}`, `{"seq":1}`, `{"stream":"S","seq":"1"}`} {
		require.NoError(t, m.Respond([]byte(noise)))
	}
	require.NoError(t, m.Respond(nil))
	confirm(t, m, 7)
	got := receive(ctx, t, result)
	require.NoError(t, got.err)
	require.EqualValues(t, 7, got.ack.Sequence)

	short := publisher(t, b, bus.PublisherConfig{Timeout: 500 * time.Millisecond})
	result = publish(ctx, short, nats.NewMsg("t.x"))
	require.NoError(t, receive(ctx, t, stream).Respond([]byte("hello")))
	got = receive(ctx, t, result)
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	require.ErrorContains(t, got.err, "no stream")
}

func TestPublisherWithoutAStream(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	p := publisher(t, b, bus.PublisherConfig{})
	result := publish(ctx, p, nats.NewMsg("nowhere.x"))
	got := receive(ctx, t, result)
	require.ErrorIs(t, got.err, bus.ErrNoStream)
	require.NotErrorIs(t, got.err, bus.ErrUnknown)
	require.ErrorContains(t, got.err, `"nowhere.x"`)
	require.False(t, bus.Permanent(got.err))

	// Its time is over before the tries are.
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	got = receive(ctx, t, publish(short, p, nats.NewMsg("nowhere.x")))
	require.ErrorIs(t, got.err, bus.ErrNoStream)
}

func TestPublisherWaitsForAStream(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	p := publisher(t, b, bus.PublisherConfig{})
	result := publish(ctx, p, nats.NewMsg("s.x"))
	topology(t, b) // as after a leader election
	got := receive(ctx, t, result)
	require.NoError(t, got.err)
	require.EqualValues(t, 1, got.ack.Sequence)
}

func TestPublisherRefusals(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{})
	for _, c := range []struct {
		name string
		m    *nats.Msg
		is   error
		text string
	}{
		{"payload", &nats.Msg{Subject: "s.x", Data: make([]byte, 2<<20)}, bus.ErrTooLarge, "2097152"},
		{"headers", &nats.Msg{Subject: "s.x", Header: nats.Header{"X": {strings.Repeat("x", 2<<20)}}}, bus.ErrTooLarge, ""},
		{"no subject", &nats.Msg{}, nats.ErrBadSubject, ""},
		{"subject", &nats.Msg{Subject: "s. x"}, nats.ErrBadSubject, ""},
		{"header name", &nats.Msg{Subject: "s.x", Header: nats.Header{"a:b": {"c"}}}, nats.ErrBadHeaderMsg, ""},
		{"stream", &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Expected-Stream": {"T"}}}, nil, "expected stream"},
		{"sequence", &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Expected-Last-Sequence": {"17"}}}, nil, "wrong last sequence"},
		{"large headers", &nats.Msg{Subject: "s.x", Header: nats.Header{"X": {strings.Repeat("x", 1<<16)}}}, nil, "64k"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := receive(ctx, t, publish(ctx, p, c.m))
			require.Error(t, got.err)
			require.True(t, bus.Permanent(got.err), "%v", got.err)
			require.ErrorContains(t, got.err, c.text)
			if c.is != nil {
				require.ErrorIs(t, got.err, c.is)
				return
			}
			var api *bus.APIError
			require.ErrorAs(t, got.err, &api)
			require.Equal(t, "s.x", api.Subject)
			require.Equal(t, 400, api.Code)
			require.NotZero(t, api.ErrCode)
		})
	}
	require.NoError(t, receive(ctx, t, publish(ctx, p, nats.NewMsg("s.x"))).err, "the slots are in order")
}

func TestPublisherFullStreamIsNotPermanent(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	_, err := b.EnsureStream(ctx, bus.Stream{Name: "S", Subjects: []string{"s.>"}, MaxMsgs: 1, Discard: bus.DiscardNew})
	require.NoError(t, err)
	p := publisher(t, b, bus.PublisherConfig{})
	require.NoError(t, receive(ctx, t, publish(ctx, p, nats.NewMsg("s.x"))).err)
	got := receive(ctx, t, publish(ctx, p, nats.NewMsg("s.x")))
	var api *bus.APIError
	require.ErrorAs(t, got.err, &api)
	require.False(t, bus.Permanent(got.err), "%v", got.err)
}

func TestPublisherClose(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Window: 2, Timeout: patience})
	answered := publish(ctx, p, nats.NewMsg("t.x"))
	open := publish(ctx, p, nats.NewMsg("t.x"))
	confirm(t, receive(ctx, t, stream), 1)
	require.NoError(t, receive(ctx, t, answered).err)

	blocked := make(chan (<-chan outcome), 1)
	go func() { // takes the free slot, or comes too late
		blocked <- publish(ctx, p, nats.NewMsg("t.x"))
	}()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Close(short), context.DeadlineExceeded)
	got := receive(ctx, t, open)
	require.ErrorIs(t, got.err, bus.ErrClosed)
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	require.ErrorIs(t, receive(ctx, t, receive(ctx, t, blocked)).err, bus.ErrClosed)
	got = receive(ctx, t, publish(ctx, p, nats.NewMsg("t.x")))
	require.ErrorIs(t, got.err, bus.ErrClosed)
	require.NotErrorIs(t, got.err, bus.ErrUnknown)
	require.NoError(t, p.Close(ctx))
	require.NoError(t, p.Flush(ctx))
	require.Empty(t, open)
}

func TestPublisherEndsWithTheBus(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	open := publish(ctx, p, nats.NewMsg("t.x"))
	receive(ctx, t, stream)
	require.NoError(t, b.Close(ctx))
	got := receive(ctx, t, open)
	require.ErrorIs(t, got.err, bus.ErrClosed)
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	got = receive(ctx, t, publish(ctx, p, nats.NewMsg("t.x")))
	require.ErrorIs(t, got.err, bus.ErrClosed)
	require.NoError(t, p.Close(ctx))
	_, err := b.NewPublisher(bus.PublisherConfig{})
	require.ErrorIs(t, err, bus.ErrClosed)
}

func TestPublisherConfig(t *testing.T) {
	b := newBus(t)
	for _, cfg := range []bus.PublisherConfig{{Window: -1}, {Window: 1 << 30}, {Timeout: -1}} {
		_, err := b.NewPublisher(cfg)
		require.Error(t, err)
	}
	done, cancel := context.WithCancel(testContext(t))
	cancel()
	got := receive(testContext(t), t, publish(done, publisher(t, b, bus.PublisherConfig{}), nats.NewMsg("s.x")))
	require.ErrorIs(t, got.err, context.Canceled)
}

func TestPublisherFlushGivesUp(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Window: 3, Timeout: patience})
	open := publish(ctx, p, nats.NewMsg("t.x"))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.Flush(short), context.DeadlineExceeded)
	confirm(t, receive(ctx, t, stream), 1)
	require.NoError(t, receive(ctx, t, open).err)
	require.NoError(t, p.Flush(ctx))
	next := publish(ctx, p, nats.NewMsg("t.x"))
	confirm(t, receive(ctx, t, stream), 2)
	require.NoError(t, receive(ctx, t, next).err)
}

// A flush waits for what was on its way, and holds up nobody meanwhile.
func TestPublisherFlushHoldsUpNobody(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Window: 2, Timeout: patience})
	before := publish(ctx, p, nats.NewMsg("t.x"))
	first := receive(ctx, t, stream)
	flushed := make(chan error, 1)
	go func() { flushed <- p.Flush(ctx) }()
	for seq := range 100 { // some of them after the flush has begun
		after := publish(ctx, p, nats.NewMsg("t.x"))
		confirm(t, receive(ctx, t, stream), seq+1)
		require.NoError(t, receive(ctx, t, after).err)
	}
	require.Empty(t, flushed)
	confirm(t, first, 101)
	require.NoError(t, receive(ctx, t, before).err)
	require.NoError(t, receive(ctx, t, flushed))
}
