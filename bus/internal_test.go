package bus

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus/embedded"
)

func TestParsePubAck(t *testing.T) {
	for data, want := range map[string]struct {
		seq       uint64
		duplicate bool
	}{
		`{"stream":"S", "seq":17}`:                                 {17, false},
		`{"stream":"S","seq":17,"duplicate": true}`:                {17, true},
		`{"stream":"S","domain":"hub","seq":17,"duplicate":false}`: {17, false},
		`{"stream":"S","seq":18446744073709551615}`:                {1<<64 - 1, false},
		`{"stream":"a\"seq\":9","seq": 1}`:                         {1, false},
		`{"stream":"S","seq":3,"val":"5","batch":"x","count":2}`:   {3, false},
	} {
		seq, duplicate, ok := parsePubAck([]byte(data))
		require.True(t, ok, data)
		require.Equal(t, want.seq, seq, data)
		require.Equal(t, want.duplicate, duplicate, data)
		require.Nil(t, parseRefusal([]byte(data)))
	}
	for _, data := range []string{
		"", "{}", "x", `{"stream":"S"}`, `{"seq":1}`, `{"stream":"S","seq":}`, `{"stream":"S","seq":-1}`, `{"stream":"S","seq":"1"}`,
		`{"error":{"code":400},"stream":"S","seq":0}`, `{"stream":"S","seq":99999999999999999999}`, `+OK`,
	} {
		_, _, ok := parsePubAck([]byte(data))
		require.False(t, ok, data)
	}
	require.Equal(t, &APIError{Code: 400, ErrCode: 10071, Description: "wrong last sequence: 1"},
		parseRefusal([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"S","seq":0}`)))
	require.Nil(t, parseRefusal([]byte(`{"error":`)))
	require.Equal(t, "S", PubAck{raw: []byte(`{"stream":"S","seq":1}`)}.Stream())
	require.Empty(t, PubAck{raw: []byte(`x`)}.Stream())
	for data, want := range map[string]bool{
		`{"stream":"S","seq":1}`: true, `{ "seq":1, "stream" : "S" }`: true, `{"stream":"S`: false, `{"stream":"SS","seq":1}`: false,
		`{"stream":"T","seq":1}`: false, `x`: false, ``: false,
	} {
		require.Equal(t, want, PubAck{raw: []byte(data)}.From("S"), data)
	}
}

// What decodes as a confirmation is read as what it decodes to, and an error is
// never taken for one.
func FuzzParsePubAck(f *testing.F) {
	f.Add([]byte(`{"stream":"S","seq":17,"duplicate": true}`))
	f.Add([]byte(`{"error":{"code":400,"err_code":10071},"stream":"S","seq":0}`))
	f.Add([]byte(`{"stream":"a\"seq\":9","seq": 1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		seq, _, ok := parsePubAck(data)
		api := parseRefusal(data)
		require.False(t, ok && api != nil)
		// The server's answers are flat, but for the error.
		var flat struct {
			Stream *string         `json:"stream"`
			Seq    *uint64         `json:"seq"`
			Error  json.RawMessage `json:"error"`
		}
		var keys map[string]json.RawMessage
		if json.Unmarshal(data, &flat) != nil || json.Unmarshal(data, &keys) != nil || len(keys) != 2 || flat.Stream == nil || flat.Seq == nil {
			return
		}
		if _, exact := keys["seq"]; !exact {
			return // encoding/json ignores the case of keys; the server writes them so
		}
		if ok {
			require.Equal(t, *flat.Seq, seq)
		}
	})
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		have, want string
		covered    bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a.*", "a.b", true}, {"a.*", "a.*", true}, {"a.*", "a.b.c", false}, {"a.*", "a", false},
		{"a.>", "a.b.c", true}, {"a.>", "a.>", true}, {"a.>", "a.*.c", true}, {"a.>", "a", false}, {">", "a", true}, {">", ">", true},
		{"a.*", "a.>", false}, {"*.b", "a.b", true}, {"*.b", "*.b", true}, {"a.b", "a.*", false}, {"*", ">", false},
	} {
		require.Equal(t, c.covered, covers(c.have, c.want), "%s %s", c.have, c.want)
	}
}

func TestReconnectDelay(t *testing.T) {
	for n := range 100 {
		d := reconnectDelay(n)
		require.GreaterOrEqual(t, d, reconnectMin/2)
		require.LessOrEqual(t, d, reconnectMax)
	}
	require.LessOrEqual(t, reconnectDelay(1), reconnectMin)
	require.GreaterOrEqual(t, reconnectDelay(50), reconnectMax/2)
}

func TestQueueKeepsOrderAndLetsGo(t *testing.T) {
	var q queue
	next, want := 0, 0
	for round := range 50 {
		for range round {
			q.push(numbered(next), time.Time{})
			next++
		}
		for _, m := range q.take(min(q.len(), round*2/3+1), nil) {
			require.Equal(t, string(numbered(want).Data), string(m.Data))
			want++
		}
		for _, m := range q.items[:q.head] {
			require.Nil(t, m.m, "taken ones are not held")
		}
	}
	require.Equal(t, next-want, q.len())
}

func numbered(n int) *nats.Msg { return &nats.Msg{Data: []byte(strconv.Itoa(n))} }

// Any sign of the server's keeps a request open; none, for two and a half
// heartbeats, voids it.
func TestHeartbeatsKeepARequestOpen(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir()})
	require.NoError(t, err)
	defer s.Shutdown()
	b, err := Connect(t.Context(), Config{}, WithInProcess(s.InProcess()))
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close(t.Context())) }()
	p, err := b.NewPuller(PullConfig{Stream: "S", Durable: "d"})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(t.Context())) }()
	p.begin(10)
	p.pending = 10
	long := time.Now().Add(-time.Minute)

	p.receive(p.round, &nats.Msg{Subject: p.inbox + ".r.1.10", Header: nats.Header{statusHeader: {"100"}}})
	w := watch{traffic: p.traffic - 1, quiet: long}
	step, _ := p.advance(10, nil, &w)
	require.False(t, step.renew)
	require.True(t, w.quiet.After(time.Now().Add(time.Second)))
	require.Equal(t, 10, p.pending)

	w.quiet = long
	step, _ = p.advance(10, nil, &w)
	require.True(t, step.renew)
	require.True(t, p.suspect)
}

// What comes on a subscription that was given up is kept if it is a message,
// and changes no count: it was not asked for in this round.
func TestReceiveFromAnOlderRound(t *testing.T) {
	p := &Puller{
		log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1), ready: make(chan struct{}, 1),
		round: 2, inbox: "_INBOX.new", pending: 10, max: 10,
	}
	status := func(inbox, code, text, left string) *nats.Msg {
		return &nats.Msg{Subject: inbox + ".r.1.10", Header: nats.Header{
			statusHeader: {code}, descriptionHeader: {text}, pendingHeader: {left},
		}}
	}
	p.receive(1, status("_INBOX.old", "408", "Request Timeout", "7"))
	p.receive(1, status("_INBOX.old", "409", "Leadership Change", ""))
	p.receive(1, &nats.Msg{Reply: "ack"})
	require.Equal(t, 10, p.pending)
	require.False(t, p.stale)
	require.Zero(t, p.traffic)
	require.Equal(t, 1, p.buf.len())
	require.Len(t, p.ready, 1)

	p.receive(2, &nats.Msg{Reply: "ack"})
	p.receive(2, status("_INBOX.new", "408", "Request Timeout", "7"))
	require.Equal(t, 2, p.pending)
	require.EqualValues(t, 2, p.traffic)
	require.Equal(t, 2, p.buf.len())
	p.receive(2, status("_INBOX.new", "408", "Request Timeout", "99"))
	require.Zero(t, p.pending, "never below")
}

func BenchmarkPubAckFrom(b *testing.B) {
	ack := PubAck{raw: []byte(`{"stream":"RETAIL_OUT", "seq":123456}`)}
	b.ReportAllocs()
	for b.Loop() {
		if !ack.From("RETAIL_OUT") {
			b.Fatal("it is")
		}
	}
}
