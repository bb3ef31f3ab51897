package bus_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// afterlife is a bus with dead letters, a stream to put them back into, and what does it.
type afterlife struct {
	*bus.Bus
	t       *testing.T
	ctx     context.Context
	letters *bus.DeadLetters
	back    *bus.Requeuer
	seq     uint64
}

func newAfterlife(t *testing.T, b *bus.Bus) *afterlife {
	ctx := testContext(t)
	_, err := b.EnsureStream(ctx, bus.Stream{Name: "ORDERS", Subjects: []string{"orders.>"}})
	require.NoError(t, err)
	return &afterlife{
		Bus: b, t: t, ctx: ctx, letters: deadLetters(t, b, bus.DeadLetterConfig{}),
		back: b.NewRequeuer(publisher(t, b, bus.PublisherConfig{}), ""),
	}
}

// bury stores a dead letter and returns its number.
func (a *afterlife) bury(orig *nats.Msg, d bus.DeadLetter) uint64 {
	a.t.Helper()
	if orig.Subject == "" {
		orig.Subject = "orders.placed"
	}
	if d.Subject == "" {
		d.Task, d.Stream, d.Subject = "score", "ORDERS", orig.Subject
	}
	require.NoError(a.t, receive(a.ctx, a.t, store(a.ctx, a.letters, orig, d)))
	a.seq++
	return a.seq
}

func (a *afterlife) count(stream string) uint64 {
	a.t.Helper()
	s, err := a.JetStream().Stream(a.ctx, stream)
	require.NoError(a.t, err)
	return s.CachedInfo().State.Msgs
}

func (a *afterlife) last(stream string) *nats.Msg {
	a.t.Helper()
	s, err := a.JetStream().Stream(a.ctx, stream)
	require.NoError(a.t, err)
	m, err := a.MessageAt(a.ctx, stream, s.CachedInfo().State.LastSeq)
	require.NoError(a.t, err)
	return m.Msg
}

func TestRequeuePutsBackWhatWas(t *testing.T) {
	a := newAfterlife(t, newBus(t))
	first := time.Date(2026, 10, 31, 12, 0, 0, 7, time.UTC)
	orig := &nats.Msg{Data: []byte("payload \x00\xff"), Header: nats.Header{
		"ce-id": {"a%20b"}, "X-Many": {"one", "two"}, "Nats-Msg-Id": {"abc"}, "Authorization": {"s3cret"}, "Status": {"503"},
		"nats-expected-last-sequence": {"4711"}, "Nats-TTL": {"1s"}, "Nats-Rollup": {"all"}, "Nats-Expected-Stream": {"ELSEWHERE"},
		"Nats-Schedule": {"@at 2090-01-01T00:00:00Z"}, "ergon-requeue": {"77"}, "Ergon-Dead-Reason": {"of old"},
	}}
	letter := bus.DeadLetter{
		Task: "score", Phase: "process", Category: "SYSTEM", Reason: "down", FirstSeen: first, Attempts: 3,
		Stream: "ORDERS", Subject: "orders.placed", Sequence: 17, Timestamp: first.UnixNano(), Requeue: 1, ID: "x",
	}
	seq := a.bury(orig, letter)
	back, err := a.back.Requeue(a.ctx, "ERGON_DLQ", seq)
	require.NoError(t, err)
	require.Equal(t, "orders.placed", back.Subject)
	require.Equal(t, "ORDERS", back.Stream)
	require.False(t, back.Duplicate)
	require.Zero(t, a.count("ERGON_DLQ"))

	got := a.last("ORDERS")
	require.Equal(t, "orders.placed", got.Subject)
	require.Equal(t, orig.Data, got.Data)
	id := got.Header.Get("Nats-Msg-Id")
	require.Regexp(t, `^abc#2-[0-9a-f]{8}$`, id)
	require.Equal(t, nats.Header{
		"ce-id": {"a%20b"}, "X-Many": {"one", "two"}, "Authorization": {"s3cret"}, "Status": {"503"}, "Nats-Msg-Id": {id},
		"Ergon-Orig-Nats-Msg-Id": {"abc"}, "Ergon-Orig-nats-expected-last-sequence": {"4711"}, "Ergon-Orig-Nats-TTL": {"1s"},
		"Ergon-Orig-Nats-Rollup": {"all"}, "Ergon-Orig-Nats-Expected-Stream": {"ELSEWHERE"},
		"Ergon-Orig-Nats-Schedule": {"@at 2090-01-01T00:00:00Z"},
		"Ergon-Requeue":            {"2"}, "Ergon-Requeue-Stream": {"ORDERS"}, "Ergon-Requeue-Sequence": {"17"},
		"Ergon-Requeue-Timestamp": {"1793448000000000007"}, "Ergon-Requeue-First-Seen": {"2026-10-31T12:00:00.000000007Z"},
	}, got.Header)

	was, notes, ok := bus.Unrequeue(got)
	require.True(t, ok)
	require.Equal(t, bus.Requeued{Count: 2, Stream: "ORDERS", Sequence: 17, Timestamp: first.UnixNano(), FirstSeen: first}, notes)
	delete(orig.Header, "ergon-requeue")
	delete(orig.Header, "Ergon-Dead-Reason")
	orig.Header["Ergon-Requeue"] = []string{"2"}
	require.Equal(t, orig.Header, was.Header)
	require.Equal(t, 2, bus.RequeueCount(was.Header))
	require.Equal(t, orig.Data, was.Data)
}

// Anybody can write these headers: what they say badly is as if it were not said.
func TestUnrequeueOfWhatOthersWrote(t *testing.T) {
	for name, h := range map[string]nats.Header{
		"none": nil, "empty": {"Ergon-Requeue": {""}}, "zero": {"Ergon-Requeue": {"0"}}, "text": {"Ergon-Requeue": {"x"}},
		"huge": {"Ergon-Requeue": {"2147483648"}}, "negative": {"Ergon-Requeue": {"-1"}}, "no values": {"Ergon-Requeue": {}},
	} {
		_, _, ok := bus.Unrequeue(&nats.Msg{Header: h})
		require.False(t, ok, name)
		require.Zero(t, bus.RequeueCount(h))
	}
	for name, h := range map[string]nats.Header{
		"alone":       {},
		"no stream":   {"Ergon-Requeue-Sequence": {"1"}, "Ergon-Requeue-Timestamp": {"1"}},
		"no sequence": {"Ergon-Requeue-Stream": {"S"}, "Ergon-Requeue-Sequence": {"0"}, "Ergon-Requeue-Timestamp": {"1"}},
		"no time":     {"Ergon-Requeue-Stream": {"S"}, "Ergon-Requeue-Sequence": {"1"}, "Ergon-Requeue-Timestamp": {"9223372036854775808"}},
		"first seen":  {"Ergon-Requeue-First-Seen": {"yesterday"}},
	} {
		h["Ergon-Requeue"] = []string{"1"}
		_, notes, ok := bus.Unrequeue(&nats.Msg{Header: h})
		require.True(t, ok, name)
		require.Equal(t, bus.Requeued{Count: 1}, notes, name)
	}
}

// A payload comes back byte for byte from where it is kept, and its object goes with
// the last letter that names it.
func TestRequeueOfLargePayloads(t *testing.T) {
	a := newAfterlife(t, newBus(t))
	limit := int(a.PublishConn().MaxPayload())
	noise := make([]byte, limit-400) // too large with what a letter says, and not with the notes of a requeue
	_, _ = rand.Read(noise)
	began := time.Now().Add(time.Minute)
	for i, data := range [][]byte{bytes.Repeat([]byte("x"), limit-400), noise, nil} {
		d := bus.DeadLetter{Task: "score", Stream: "ORDERS", Subject: "orders.placed", Sequence: uint64(i + 1), Reason: strings.Repeat("long ", 100)}
		seq := a.bury(&nats.Msg{Data: data}, d)
		record, err := a.DeadLetterAt(a.ctx, "ERGON_DLQ", seq)
		require.NoError(t, err)
		require.Equal(t, i < 2, record.Encoding != "")
		require.Equal(t, i == 1, record.Object != "")
		_, err = a.back.Requeue(a.ctx, "ERGON_DLQ", seq)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, a.last("ORDERS").Data))
		require.Zero(t, a.count("ERGON_DLQ"))
		if record.Object == "" {
			continue
		}
		// The same failure, told once more after the window in which the stream drops it.
		again, err := a.JetStream().PublishMsg(a.ctx, &nats.Msg{Subject: record.Subject, Header: nats.Header{
			"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Object": {record.Object}, "Ergon-Dead-Encoding": {record.Encoding},
		}})
		require.NoError(t, err)
		a.seq++
		objects := []string{record.Object, "SECRETS/x", "x"}
		n, err := a.RemoveDeadObjects(a.ctx, "ERGON_DLQ", objects, began)
		require.NoError(t, err)
		require.Zero(t, n, "a letter names it")
		require.NoError(t, a.RemoveDeadLetter(a.ctx, "ERGON_DLQ", again.Sequence))
		n, err = a.RemoveDeadObjects(a.ctx, "ERGON_DLQ", objects, time.Now().Add(-time.Hour))
		require.NoError(t, err)
		require.Zero(t, n, "it was stored again since")
		n, err = a.RemoveDeadObjects(a.ctx, "ERGON_DLQ", objects, began)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		n, err = a.RemoveDeadObjects(a.ctx, "ERGON_DLQ", objects, began)
		require.NoError(t, err)
		require.Zero(t, n, "it is gone")
	}
}

// What can't be put back stays, and says why.
func TestWhatIsNotRequeued(t *testing.T) {
	a := newAfterlife(t, newBus(t))
	_, err := a.EnsureStream(a.ctx, bus.Stream{Name: "WAITED", Subjects: []string{"waited"}, Retention: bus.RetentionInterest})
	require.NoError(t, err)
	_, err = a.JetStream().CreateStream(a.ctx, jetstream.StreamConfig{Name: "SMALL", Subjects: []string{"small"}, MaxMsgSize: 10})
	require.NoError(t, err)
	letter := func(subject string, more nats.Header) *nats.Msg {
		h := nats.Header{"Ergon-Dead-Task": {"a"}, "Ergon-Dead-Subject": {subject}}
		for name, values := range more {
			h[name] = values
		}
		return &nats.Msg{Subject: "ergon.dlq.a", Header: h, Data: []byte("data")}
	}
	for text, m := range map[string]*nats.Msg{
		"does not say to which subject":                       {Subject: "ergon.dlq.a", Data: []byte("foreign")},
		`no stream takes "gone"`:                              letter("gone", nil),
		"the server's own":                                    letter("$JS.API.STREAM.DELETE.ORDERS", nil),
		`has the wildcard ">"`:                                letter("orders.>", nil),
		`no stream takes "_INBOX.x"`:                          letter("_INBOX.x", nil),
		"no room for the headers X-Big, ce-id":                letter("orders.x", nats.Header{"Ergon-Dead-Dropped": {"X-Big ce-id"}}),
		`its subject "ergon.dlq.b" is one of dead`:            letter("ergon.dlq.b", nil),
		`stream "WAITED" keeps only what a consumer`:          letter("waited", nil),
		"it is said to be compressed":                         letter("orders.x", nats.Header{"Ergon-Dead-Encoding": {"gzip"}}),
		"payloads of this stream are kept in the bucket":      letter("orders.x", nats.Header{"Ergon-Dead-Object": {"OTHER/x"}}),
		"stream refused the message for \"small\": message s": letter("small", nil),
		"bytes of headers, with what is noted": letter("orders.x", nats.Header{
			"X-Big": {strings.Repeat("x", 65_400)}, "Ergon-Dead-Stream": {"ORDERS"}, "Ergon-Dead-Sequence": {"1"},
		}),
	} {
		ack, err := a.JetStream().PublishMsg(a.ctx, m)
		require.NoError(t, err, text)
		_, err = a.back.Requeue(a.ctx, "ERGON_DLQ", ack.Sequence)
		require.ErrorIs(t, err, bus.ErrNotRequeuable)
		require.ErrorContains(t, err, text)
		_, err = a.DeadLetterAt(a.ctx, "ERGON_DLQ", ack.Sequence)
		require.NoError(t, err, "it stays")
	}
	require.Zero(t, a.count("ORDERS"))
	require.Zero(t, a.count("SMALL"))
	for _, seq := range []uint64{0, 999} {
		_, err = a.back.Requeue(a.ctx, "ERGON_DLQ", seq)
		require.ErrorIs(t, err, bus.ErrNoDeadLetter)
		require.ErrorIs(t, a.RemoveDeadLetter(a.ctx, "ERGON_DLQ", seq), bus.ErrNoDeadLetter)
	}
	require.ErrorIs(t, a.RemoveDeadLetter(a.ctx, "NOWHERE", 1), bus.ErrStreamGone)
	require.ErrorIs(t, a.CheckRemovable(a.ctx, "NOWHERE"), bus.ErrStreamGone)
	require.NoError(t, a.CheckRemovable(a.ctx, "ERGON_DLQ"))
	_, err = a.JetStream().CreateStream(a.ctx, jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}, DenyDelete: true})
	require.NoError(t, err)
	require.ErrorIs(t, a.CheckRemovable(a.ctx, "KEPT"), bus.ErrTopology)
}

// Two tasks that failed on one message have two letters: each task gets it once. But
// two messages that a careless publisher gave one ID are both put back.
func TestRequeueTellsMessagesApart(t *testing.T) {
	a := newAfterlife(t, newBus(t))
	h := nats.Header{"Nats-Msg-Id": {"same"}}
	for i, c := range []struct {
		task string
		seq  uint64
		copy bool
	}{{"a", 1, false}, {"b", 1, true}, {"a", 2, false}} {
		seq := a.bury(&nats.Msg{Header: h, Data: []byte("x")}, bus.DeadLetter{Task: c.task, Stream: "ORDERS", Subject: "orders.placed", Sequence: c.seq})
		back, err := a.back.Requeue(a.ctx, "ERGON_DLQ", seq)
		require.NoError(t, err)
		require.Equal(t, c.copy, back.Duplicate, i)
	}
	require.EqualValues(t, 2, a.count("ORDERS"))
	require.Zero(t, a.count("ERGON_DLQ"))
}

// Letters that others wrote may have neither an ID nor a place: none is the other's copy.
func TestRequeueOfLettersWithoutAPlace(t *testing.T) {
	a := newAfterlife(t, newBus(t))
	for range 2 {
		ack, err := a.JetStream().PublishMsg(a.ctx, &nats.Msg{Subject: "ergon.dlq.x", Header: nats.Header{"Ergon-Dead-Subject": {"orders.x"}}})
		require.NoError(t, err)
		back, err := a.back.Requeue(a.ctx, "ERGON_DLQ", ack.Sequence)
		require.NoError(t, err)
		require.False(t, back.Duplicate)
	}
	require.EqualValues(t, 2, a.count("ORDERS"))
}

// crashing is a connection that loses each request to delete a message, and tells.
type crashing struct {
	server *embedded.Server
	armed  atomic.Bool
	lost   func()
}

func (c *crashing) InProcessConn() (net.Conn, error) {
	conn, err := c.server.InProcess().InProcessConn()
	return &crashingConn{conn, c}, err
}

type crashingConn struct {
	net.Conn
	of *crashing
}

func (c *crashingConn) Write(p []byte) (int, error) {
	if c.of.armed.Load() && bytes.Contains(p, []byte("STREAM.MSG.DELETE")) {
		c.of.lost()
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// The process ends after the message was stored and before the letter was removed.
// Done again, nothing is lost, and the stream drops the copy.
func TestRequeueBreaksOffBeforeTheLetterIsRemoved(t *testing.T) {
	way := &crashing{server: server(t, embedded.Options{})}
	a := newAfterlife(t, connect(t, bus.Config{}, bus.WithInProcess(way)))
	seq := a.bury(&nats.Msg{Data: []byte("x")}, bus.DeadLetter{Task: "score", Stream: "ORDERS", Subject: "orders.placed", Sequence: 1})
	ctx, cancel := context.WithCancel(a.ctx)
	way.lost = cancel
	way.armed.Store(true)
	back, err := a.back.Requeue(ctx, "ERGON_DLQ", seq)
	require.ErrorIs(t, err, bus.ErrNotRemoved)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "ORDERS", back.Stream)
	way.armed.Store(false)
	require.EqualValues(t, 1, a.count("ORDERS"))
	require.EqualValues(t, 1, a.count("ERGON_DLQ"), "both are there")

	back, err = a.back.Requeue(a.ctx, "ERGON_DLQ", seq)
	require.NoError(t, err)
	require.True(t, back.Duplicate)
	require.EqualValues(t, 1, a.count("ORDERS"))
	require.Zero(t, a.count("ERGON_DLQ"))
}
