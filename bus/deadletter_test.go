package bus_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func deadLetters(t *testing.T, b *bus.Bus, cfg bus.DeadLetterConfig) *bus.DeadLetters {
	t.Helper()
	l, err := b.NewDeadLetters(testContext(t), cfg, publisher(t, b, bus.PublisherConfig{}))
	require.NoError(t, err)
	return l
}

func store(ctx context.Context, l *bus.DeadLetters, m *nats.Msg, d bus.DeadLetter) <-chan error {
	c := make(chan error, 2)
	l.Store(ctx, m, d, func(err error) { c <- err })
	return c
}

// stored reads a dead letter back from the stream.
func stored(ctx context.Context, t *testing.T, b *bus.Bus, stream string, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := b.JetStream().Stream(ctx, stream)
	require.NoError(t, err)
	m, err := s.GetMsg(ctx, seq)
	require.NoError(t, err)
	for _, name := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"} {
		require.Len(t, m.Header[name], 1, "the server adds one in a direct get, and there was none")
		delete(m.Header, name)
	}
	return m
}

func TestDeadLetterIsTheMessageWithItsEnd(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	require.Equal(t, bus.Created, l.Change().Kind)
	orig := &nats.Msg{
		Subject: "orders.placed", Reply: "$JS.ACK.x",
		Data: []byte("payload \x00\xff"),
		Header: nats.Header{
			"ce-id": {"abc"}, "X-Many": {"one", "two"}, "Nats-Msg-Id": {"abc"}, "nats-ttl": {"1s"},
			"Ergon-Dead-Reason": {"an older one"}, "ergon-dead-attempts": {"99"}, "Ergon-Orig-Nats-Msg-Id": {"older"},
			"Ergon-Orig-Nats-Stream": {"OLDER"},
		},
	}
	before := maps.Clone(orig.Header)
	failed := time.Date(2026, 10, 31, 12, 0, 0, 7, time.UTC)
	require.NoError(t, receive(ctx, t, store(ctx, l, orig, bus.DeadLetter{
		Task: "score", Phase: "process", Category: "BUSINESS", Reason: "quantity 0\r\nis not\tpositive",
		HandlerError: "panic: x", Attempts: 3, Deliveries: 2, Outputs: "m=3 confirmed=1 unknown=0",
		FirstSeen: failed.Add(-time.Minute), FailedAt: failed, Stream: "ORDERS", Subject: "orders.placed", Sequence: 17,
		TraceID: "0af7651916cd43dd8448eb211c80319c", ID: "abc", Requeue: 2,
	})))
	got := stored(ctx, t, b, "ERGON_DLQ", 1)
	require.Equal(t, "ergon.dlq.score", got.Subject)
	require.Equal(t, orig.Data, got.Data)
	id := got.Header["Nats-Msg-Id"]
	require.Len(t, id, 1)
	require.NotEqual(t, "abc", id[0])
	delete(got.Header, "Nats-Msg-Id")
	require.Equal(t, nats.Header{
		"ce-id": {"abc"}, "X-Many": {"one", "two"},
		"Ergon-Orig-Nats-Msg-Id": {"abc"}, "Ergon-Orig-nats-ttl": {"1s"}, "Ergon-Orig-Nats-Stream": {"OLDER"},
		"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Phase": {"process"}, "Ergon-Dead-Category": {"BUSINESS"},
		"Ergon-Dead-Reason": {"quantity 0 is not positive"}, "Ergon-Dead-Handler-Error": {"panic: x"},
		"Ergon-Dead-Attempts": {"3"}, "Ergon-Dead-Deliveries": {"2"}, "Ergon-Dead-Outputs": {"m=3 confirmed=1 unknown=0"},
		"Ergon-Dead-First-Seen": {"2026-10-31T11:59:00.000000007Z"}, "Ergon-Dead-Failed-At": {"2026-10-31T12:00:00.000000007Z"},
		"Ergon-Dead-Stream": {"ORDERS"}, "Ergon-Dead-Subject": {"orders.placed"}, "Ergon-Dead-Sequence": {"17"},
		"Ergon-Dead-Trace-Id": {"0af7651916cd43dd8448eb211c80319c"}, "Ergon-Dead-Requeue": {"2"},
	}, nats.Header(got.Header))
	require.Equal(t, before, orig.Header, "the original is not changed")
}

// Each of these, copied as it is, would be refused, dropped, expired, or act on
// the stream.
func TestDeadLetterOfAHostileMessage(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	var seq uint64
	for name, header := range map[string]nats.Header{
		"expected sequence":     {"Nats-Expected-Last-Sequence": {"4711"}},
		"expected by subject":   {"Nats-Expected-Last-Subject-Sequence": {"4711"}},
		"expected stream":       {"Nats-Expected-Stream": {"ORDERS"}},
		"expected id":           {"Nats-Expected-Last-Msg-Id": {"x"}},
		"time to live":          {"Nats-TTL": {"1s"}},
		"rollup":                {"Nats-Rollup": {"all"}},
		"schedule":              {"Nats-Schedule": {"@at 2020-01-01T00:00:00Z"}, "Nats-Schedule-Target": {"x"}},
		"batch":                 {"Nats-Batch-Id": {"x"}, "Nats-Batch-Sequence": {"1"}},
		"counter":               {"Nats-Incr": {"+1"}},
		"api level":             {"Nats-Required-Api-Level": {"99"}},
		"lower case":            {"nats-expected-stream": {"ORDERS"}},
		"upper case":            {"NATS-EXPECTED-STREAM": {"ORDERS"}},
		"disguised":             {"Nats-Expected Stream": {"ORDERS"}, "Nats\x00-Ttl": {"1"}},
		"id used before":        {"Nats-Msg-Id": {"the same"}},
		"id used before, again": {"Nats-Msg-Id": {"the same"}},
		"repeated":              {"A": {"1", "2", "3"}, "Nats-Msg-Id": {"x", "y"}},
		"4 KiB":                 {"Big": {strings.Repeat("x", 4096)}},
		"80 KiB":                {"Bigger": {strings.Repeat("x", 60<<10)}, "Big": {strings.Repeat("x", 20<<10)}, "Small": {"x"}},
		"line breaks":           {"A": {"x\r\nNats-Rollup: all\r\n\r\n"}, "B": {"\n"}, "C": {"a\rb\x00c"}},
		"names":                 {"": {"x"}, "a b": {"x"}, "ä": {"x"}, "a:b\r\n": {"x"}},
		"not UTF-8":             {"A": {"\xff\xfe"}},
		"status":                {"Status": {"503"}, "Description": {"x"}},
		"none":                  nil,
	} {
		t.Run(name, func(t *testing.T) {
			seq++
			orig := &nats.Msg{Subject: "x", Data: []byte(name), Header: header}
			d := bus.DeadLetter{Task: "score", ID: name, Reason: "no\r\nNats-Rollup: all", Stream: "S\r\nX: y", Sequence: seq}
			require.NoError(t, receive(ctx, t, store(ctx, l, orig, d)))
			got := stored(ctx, t, b, "ERGON_DLQ", seq)
			require.Equal(t, name, string(got.Data))
			for k, vs := range got.Header {
				if k != "Nats-Msg-Id" {
					require.False(t, strings.HasPrefix(strings.ToLower(k), "nats-"), k)
				}
				for _, v := range vs {
					require.NotContains(t, v, "\r")
					require.NotContains(t, v, "\n")
				}
			}
			switch name {
			case "repeated":
				require.Equal(t, []string{"1", "2", "3"}, got.Header["A"])
				require.Equal(t, []string{"x", "y"}, got.Header["Ergon-Orig-Nats-Msg-Id"])
			case "4 KiB":
				require.Equal(t, header["Big"], got.Header["Big"])
			case "80 KiB":
				require.Equal(t, []string{"Bigger"}, got.Header["Ergon-Dead-Dropped"])
				require.Equal(t, header["Big"], got.Header["Big"])
				require.Equal(t, header["Small"], got.Header["Small"])
			case "not UTF-8":
				require.Equal(t, header["A"], got.Header["A"])
			}
		})
	}
	s, err := b.JetStream().Stream(ctx, "ERGON_DLQ")
	require.NoError(t, err)
	require.Equal(t, seq, s.CachedInfo().State.Msgs)
}

func TestDeadLetterIDs(t *testing.T) {
	orig := nats.NewMsg("x")
	base := bus.DeadLetter{Task: "a", ID: "1", Stream: "S", Sequence: 1}
	id := func(d bus.DeadLetter) string {
		m := bus.DeadMessage(orig, "dlq", d)
		if len(m.Header["Nats-Msg-Id"]) == 0 {
			return ""
		}
		return m.Header["Nats-Msg-Id"][0]
	}
	require.Equal(t, id(base), id(base))
	same := base
	same.Reason, same.Attempts, same.FailedAt = "else", 7, time.Now()
	require.Equal(t, id(base), id(same), "the same failure, reported again")
	ids := []string{id(base)}
	for _, change := range []func(*bus.DeadLetter){
		func(d *bus.DeadLetter) { d.ID = "2" },
		func(d *bus.DeadLetter) { d.Task = "b" },
		func(d *bus.DeadLetter) { d.Requeue = 1 },
		func(d *bus.DeadLetter) { d.Sequence = 2 },
		func(d *bus.DeadLetter) { d.Stream = "T" },
		func(d *bus.DeadLetter) { d.ID, d.Task = "1a", "" },
	} {
		d := base
		change(&d)
		ids = append(ids, id(d))
	}
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), 7)
	require.Empty(t, id(bus.DeadLetter{Task: "a"}), "nothing to tell it from others by")
}

func TestDeadLetterReportedTwiceIsStoredOnce(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{Stream: "DEAD", Subject: "graveyard"})
	d := bus.DeadLetter{Task: "score", ID: "x", Sequence: 5}
	for range 3 {
		require.NoError(t, receive(ctx, t, store(ctx, l, nats.NewMsg("x"), d)))
	}
	s, err := b.JetStream().Stream(ctx, "DEAD")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.CachedInfo().State.Msgs)
	require.Equal(t, "graveyard", l.Subject("whatever"))
	require.Equal(t, jetstream.LimitsPolicy, s.CachedInfo().Config.Retention)
	require.Equal(t, jetstream.FileStorage, s.CachedInfo().Config.Storage)
}

func TestDeadLetterSubjects(t *testing.T) {
	l := deadLetters(t, newBus(t), bus.DeadLetterConfig{SubjectPrefix: "dead"})
	for task, want := range map[string]string{
		"score": "dead.score", "a.b": "dead.a_b", "*": "dead._", ">": "dead._", "": "dead.unknown",
		"with space\n": "dead.with_space_", "Größe": "dead.Größe", "\xff": "dead._",
	} {
		require.Equal(t, want, l.Subject(task))
	}
}

func TestDeadLettersMakeTheirStreamAgain(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	require.NoError(t, b.JetStream().DeleteStream(ctx, "ERGON_DLQ"))
	var results []<-chan error
	for i := range uint64(20) {
		results = append(results, store(ctx, l, nats.NewMsg("x"), bus.DeadLetter{Task: "a", Sequence: i + 1}))
	}
	for _, c := range results {
		require.NoError(t, receive(ctx, t, c))
	}
	s, err := b.JetStream().Stream(ctx, "ERGON_DLQ")
	require.NoError(t, err)
	require.EqualValues(t, 20, s.CachedInfo().State.Msgs)

	require.NoError(t, l.Close(ctx))
	require.NoError(t, l.Close(ctx))
	require.NoError(t, b.JetStream().DeleteStream(ctx, "ERGON_DLQ"))
	require.ErrorIs(t, receive(ctx, t, store(ctx, l, nats.NewMsg("x"), bus.DeadLetter{Task: "a"})), bus.ErrNoStream)
}

func TestDeadLettersCannotMakeTheirStreamAgain(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	js := b.JetStream()
	require.NoError(t, js.DeleteStream(ctx, "ERGON_DLQ"))
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ERGON_DLQ", Subjects: []string{"else"}})
	require.NoError(t, err)
	err = receive(ctx, t, store(ctx, l, nats.NewMsg("x"), bus.DeadLetter{Task: "a"}))
	require.ErrorIs(t, err, bus.ErrTopology)
	require.NoError(t, l.Close(ctx))
}

func TestDeadLetterTooLarge(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	limit := b.PublishConn().MaxPayload()

	large := bytes.Repeat([]byte("large "), int(limit)/6)
	require.NoError(t, receive(ctx, t, store(ctx, l, &nats.Msg{Subject: "x", Data: large}, bus.DeadLetter{Task: "a", Reason: "r"})))
	got := stored(ctx, t, b, "ERGON_DLQ", 1)
	require.Equal(t, []string{"gzip"}, got.Header["Ergon-Dead-Encoding"])
	z, err := gzip.NewReader(bytes.NewReader(got.Data))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(z)
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, unpacked))

	// What does not compress goes into the object store: a message can be as large
	// as the server takes, and its letter has more headers.
	noise := make([]byte, limit)
	_, _ = rand.Read(noise)
	require.NoError(t, receive(ctx, t, store(ctx, l, &nats.Msg{Subject: "x", Data: noise}, bus.DeadLetter{Task: "a", Sequence: 2})))
	got = stored(ctx, t, b, "ERGON_DLQ", 2)
	require.Empty(t, got.Data)
	bucket, name, ok := strings.Cut(got.Header.Get("Ergon-Dead-Object"), "/")
	require.True(t, ok)
	require.Equal(t, bus.PayloadBucket("ERGON_DLQ"), bucket)
	objects, err := b.JetStream().ObjectStore(ctx, bucket)
	require.NoError(t, err)
	packed, err := objects.GetBytes(ctx, name)
	require.NoError(t, err)
	z, err = gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	unpacked, err = io.ReadAll(z)
	require.NoError(t, err)
	require.True(t, bytes.Equal(noise, unpacked))
}

func TestDeadLettersNeedTheirSubject(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	_, err := b.EnsureStream(ctx, bus.Stream{Name: "OTHER", Subjects: []string{"ergon.>"}})
	require.NoError(t, err)
	_, err = b.NewDeadLetters(ctx, bus.DeadLetterConfig{}, publisher(t, b, bus.PublisherConfig{}))
	require.ErrorIs(t, err, bus.ErrTopology)
	require.ErrorContains(t, err, `"OTHER"`)
}
