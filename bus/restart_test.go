package bus_test

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// restartable is a server with a port that can go and come back.
type restartable struct {
	t *testing.T
	o embedded.Options
	s *embedded.Server
}

func newRestartable(t *testing.T) *restartable {
	r := &restartable{t: t, o: embedded.Options{StoreDir: t.TempDir(), Listen: freePort(t)}}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *restartable) start() {
	r.t.Helper()
	var err error
	r.s, err = embedded.Start(r.t.Context(), r.o)
	require.NoError(r.t, err)
}

func (r *restartable) stop() { r.s.Shutdown() }

func TestPullerSurvivesARestart(t *testing.T) {
	ctx := testContext(t)
	var log logBook
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()}, bus.WithLogger(log.logger()))
	topology(t, b)
	fillNumbered(t, b, 100)
	// Only the reconnect can tell that the requests are void.
	p := puller(t, b, bus.PullConfig{Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
	require.Len(t, drain(ctx, t, p, 20), 100) // and leaves requests open

	result := make(chan []*nats.Msg, 1)
	go func() {
		msgs, err := p.Fetch(ctx, 20, nil)
		for errors.Is(err, bus.ErrDrained) {
			msgs, err = p.Fetch(ctx, 20, nil)
		}
		if err != nil {
			t.Error(err)
		}
		result <- msgs
	}()
	r.stop()
	r.start()
	require.Eventually(t, func() bool { return b.Status().Connected && b.Status().Reconnects >= 2 }, patience, time.Millisecond)
	fillNumbered(t, b, 1)
	msgs := receive(ctx, t, result)
	require.Len(t, msgs, 1)
	require.NoError(t, bus.Ack(msgs[0]))
	require.Contains(t, log.String(), "disconnected from NATS")
	require.Contains(t, log.String(), "reconnected to NATS")
	require.Error(t, b.Status().LastError)
}

// A restart under load: nothing is lost, and what is delivered twice says so.
func TestPullerRestartUnderLoad(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	topology(t, b, func(c *bus.Consumer) { c.AckWait = time.Second })
	const n = 5000
	fillNumbered(t, b, n)
	p := puller(t, b, bus.PullConfig{})
	seen := make(map[string]bool, n)
	restarted := false
	for {
		msgs, err := p.Fetch(ctx, 50, nil)
		if errors.Is(err, bus.ErrDrained) {
			break
		}
		require.NoError(t, err)
		for _, m := range msgs {
			if seen[string(m.Data)] {
				meta, err := bus.ParseReply(m.Reply)
				require.NoError(t, err)
				require.Greater(t, meta.Delivered, uint64(1))
			}
			seen[string(m.Data)] = true
			require.NoError(t, bus.Ack(m))
		}
		if !restarted && len(seen) > n/2 {
			restarted = true
			r.stop()
			r.start()
		}
	}
	require.Len(t, seen, n)
}

// What is on its way when the connection goes is sent again if that is safe.
func TestPublisherResendsAfterARestart(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	js := b.JetStream()
	// A stream without confirmations holds the messages in their slots.
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, NoAck: true})
	require.NoError(t, err)
	p := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	named := publish(ctx, p, &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Msg-Id": {"one"}}})
	fields := publishFields(ctx, p, "s.x", []bus.Field{{Name: "A", Value: "1"}, {Name: "Nats-Msg-Id", Value: "three"}}, nil)
	nameless := publish(ctx, p, &nats.Msg{Subject: "s.x"})
	require.Eventually(t, func() bool { // or it would confirm them after the update
		s, err := js.Stream(ctx, "S")
		return err == nil && s.CachedInfo().State.Msgs == 3
	}, patience, time.Millisecond)
	_, err = js.UpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)

	r.stop()
	got := receive(ctx, t, nameless)
	require.ErrorIs(t, got.err, bus.ErrUnknown)
	require.False(t, bus.Permanent(got.err))
	// Published with no server there.
	waiting := publish(ctx, p, &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Msg-Id": {"two"}}})
	r.start()

	for _, sent := range []<-chan outcome{named, fields} {
		got = receive(ctx, t, sent)
		require.NoError(t, got.err)
		require.True(t, got.ack.Resent)
		require.True(t, got.ack.Duplicate, "its first copy was stored before")
	}
	got = receive(ctx, t, waiting)
	require.NoError(t, got.err)
	require.False(t, got.ack.Duplicate)
	require.NoError(t, p.Close(ctx))
	require.Empty(t, named)
	require.Empty(t, fields)
	require.Empty(t, waiting)
	require.Empty(t, nameless)
	s, err := js.Stream(ctx, "S")
	require.NoError(t, err)
	require.EqualValues(t, 4, s.CachedInfo().State.Msgs)
}

// Publishing goes on through a restart, and the stream holds every message once.
func TestPublisherRestartUnderLoad(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{Window: 64, Timeout: patience})
	const n = 5000
	results := make(chan outcome, 2*n)
	for i := range n {
		if i == n/2 {
			r.stop()
			r.start()
		}
		m := &nats.Msg{Subject: "s.x", Header: nats.Header{"Nats-Msg-Id": {strconv.Itoa(i)}}}
		p.Publish(ctx, m, func(a bus.PubAck, err error) { results <- outcome{a, err} })
	}
	require.NoError(t, p.Flush(ctx))
	require.Len(t, results, n, "each is reported once")
	sequences := make(map[uint64]bool, n)
	for range n {
		got := <-results
		require.NoError(t, got.err)
		sequences[got.ack.Sequence] = true
	}
	require.Len(t, sequences, n)
	s, err := b.JetStream().Stream(ctx, "S")
	require.NoError(t, err)
	require.EqualValues(t, n, s.CachedInfo().State.Msgs)
}

func TestPublisherGivesUpWithoutAServer(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	p := publisher(t, b, bus.PublisherConfig{Timeout: 100 * time.Millisecond})
	r.stop()
	require.Eventually(t, func() bool { return !b.PublishConn().IsConnected() }, patience, time.Millisecond)
	got := receive(ctx, t, publish(ctx, p, nats.NewMsg("s.x")))
	require.ErrorIs(t, got.err, bus.ErrDisconnected)
	require.NotErrorIs(t, got.err, bus.ErrUnknown, "it was never sent")
	require.False(t, bus.Permanent(got.err))
	require.False(t, b.Status().Connected)
	require.NoError(t, b.Close(ctx), "nothing waits to be sent: who published was told")
	require.NoError(t, b.Close(ctx), "again")
	require.True(t, b.Status().Closed)
}

// A connection that is away is not waited for where nothing is to be sent, and what is to
// be is told of once, by the Bus.
func TestCloseWhileNATSIsAway(t *testing.T) {
	ctx := testContext(t)
	for _, held := range []bool{false, true} {
		r := newRestartable(t)
		b := connect(t, bus.Config{URL: r.s.URL()})
		topology(t, b)
		p := puller(t, b, bus.PullConfig{Stream: "S", Durable: "d"})
		fillNumbered(t, b, 1)
		got, err := p.Fetch(ctx, 1, nil)
		require.NoError(t, err)
		if !held {
			require.NoError(t, b.ConfirmAck(ctx, got[0]))
		}
		r.stop()
		require.Eventually(t, func() bool { return !b.ConsumeConn().IsConnected() && !b.PublishConn().IsConnected() }, patience, time.Millisecond)
		if held {
			require.NoError(t, bus.Ack(got[0]), "it is sent when the connection is back")
		}
		require.NoError(t, p.Close(ctx))
		err = b.Close(ctx)
		unsent, ok := errors.AsType[*bus.UnsentError](err)
		require.Equal(t, held, ok, err)
		if held {
			require.Positive(t, unsent.Bytes)
			require.ErrorIs(t, err, bus.ErrDisconnected)
			continue
		}
		require.NoError(t, err)
	}
}

// A connection that breaks while it is flushed is one that is away: nats.go says that it is
// closed, which it is not.
func TestFlushOfAConnectionThatBreaks(t *testing.T) {
	ctx := testContext(t)
	f := &fragile{to: server(t, embedded.Options{}).InProcess()}
	b := connect(t, bus.Config{}, bus.WithInProcess(f))
	f.armed.Store(true)
	require.NoError(t, b.Flush(ctx))
	require.EqualValues(t, 2, f.broke.Load(), "both connections, each by its flush")
	require.NoError(t, b.Close(ctx))
}

// fragile connects to a server. While it is armed, what asks the server to answer breaks the
// connection, and no other is to be had.
type fragile struct {
	to    nats.InProcessConnProvider
	armed atomic.Bool
	broke atomic.Int64
}

func (f *fragile) InProcessConn() (net.Conn, error) {
	if f.armed.Load() {
		return nil, errors.New("armed")
	}
	c, err := f.to.InProcessConn()
	return fragileConn{c, f}, err
}

type fragileConn struct {
	net.Conn
	of *fragile
}

func (c fragileConn) Write(p []byte) (int, error) {
	if c.of.armed.Load() && bytes.HasSuffix(p, []byte("PING\r\n")) {
		c.of.broke.Add(1)
		return len(p), c.Conn.Close()
	}
	return c.Conn.Write(p)
}
