package bus_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// scanDead returns what a scan of the default stream finds.
func scanDead(t *testing.T, b *bus.Bus, f bus.DeadFilter) []bus.DeadRecord {
	t.Helper()
	var found []bus.DeadRecord
	_, err := b.ScanDeadLetters(testContext(t), bus.DefaultDeadStream, f, func(r bus.DeadRecord) error {
		found = append(found, r)
		return nil
	})
	require.NoError(t, err)
	return found
}

func TestDeadLetterReadBack(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	orig := &nats.Msg{
		Subject: "orders.placed", Data: []byte("payload \x00\xff"),
		Header: nats.Header{
			"ce-id": {"a%20b"}, "X-Many": {"one", "two"}, "Nats-Msg-Id": {"x", "y"}, "nats-ttl": {"1s"},
			"Ergon-Orig-Mine": {"not of NATS"}, "Ergon-Meta-Tenant": {"t"}, "Big": {strings.Repeat("x", 4096)},
		},
	}
	failed := time.Date(2026, 10, 31, 12, 0, 0, 7, time.UTC)
	letter := bus.DeadLetter{
		Task: "score", Phase: "process", Category: "BUSINESS", Reason: "quantity 0 is not positive",
		HandlerError: "panic: x", Attempts: 3, Deliveries: 2, Outputs: "m=3 confirmed=1 unknown=0",
		FirstSeen: failed.Add(-time.Minute), FailedAt: failed, Stream: "ORDERS", Subject: "orders.placed", Sequence: 1 << 60,
		TraceID: "0af7651916cd43dd8448eb211c80319c", ID: "ids are not stored", Requeue: 2,
	}
	before := time.Now().Add(-time.Minute)
	require.NoError(t, receive(ctx, t, store(ctx, l, orig, letter)))
	letter.ID = ""

	listed := scanDead(t, b, bus.DeadFilter{})
	require.Len(t, listed, 1)
	one, err := b.DeadLetterAt(ctx, "ERGON_DLQ", 1)
	require.NoError(t, err)
	for _, r := range []bus.DeadRecord{listed[0], one} {
		require.Equal(t, letter, r.Letter)
		require.Equal(t, orig.Header, r.Header)
		require.Equal(t, "a b", r.TransactionID)
		require.Equal(t, "ERGON_DLQ", r.Stream)
		require.Equal(t, "ergon.dlq.score", r.Subject)
		require.EqualValues(t, 1, r.Sequence)
		require.Equal(t, len(orig.Data), r.Size)
		require.Equal(t, failed, r.When())
		require.WithinRange(t, r.StoredAt, before, time.Now().Add(time.Minute))
		require.Empty(t, r.Faults)
		data, err := b.DeadPayload(ctx, r)
		require.NoError(t, err)
		require.Equal(t, orig.Data, data)
	}

	// A direct get adds headers of its own.
	s, err := b.JetStream().Stream(ctx, "ERGON_DLQ")
	require.NoError(t, err)
	m, err := s.GetMsg(ctx, 1)
	require.NoError(t, err)
	require.NotEmpty(t, m.Header.Get("Nats-Stream"))
	parsed := bus.ParseDeadLetter(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
	require.Equal(t, orig.Header, parsed.Header)
	require.Equal(t, letter, parsed.Letter)

	names := s.ConsumerNames(ctx)
	for name := range names.Name() {
		t.Errorf("consumer %q was left behind", name)
	}
	require.NoError(t, names.Err())
}

// Each of these is a transaction that somebody could publish, and that failed. The
// letters of all are listed, and each is read back with its headers.
func TestDeadLettersOfHostileMessagesReadBack(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	hostile := map[string]nats.Header{
		"expected sequence": {"Nats-Expected-Last-Sequence": {"4711"}},
		"lower case":        {"nats-expected-stream": {"ORDERS"}},
		"as in a get":       {"Nats-Stream": {"S"}, "Nats-Subject": {"x"}, "Nats-Sequence": {"9"}, "Nats-Time-Stamp": {"x"}, "Nats-Msg-Size": {"999"}},
		"repeated":          {"A": {"1", "2", "3"}, "Nats-Msg-Id": {"x", "y"}},
		"4 KiB":             {"Big": {strings.Repeat("x", 4096)}},
		"not UTF-8":         {"A": {"\xff\xfe"}},
		"empty value":       {"A": {""}, "B": {"", ""}},
		"escapes":           {"ce-id": {"%zz%2"}},
		"status 404":        {"Status": {"404"}, "Description": {"No Messages"}},
		"status 408":        {"Status": {"408"}},
		"status 503":        {"Status": {"503"}},
		"none":              {},
	}
	seqs := map[uint64]string{}
	var seq uint64
	for _, data := range []string{"payload", ""} { // with a status and no payload it looks like the server's
		for name, header := range hostile {
			seq++
			seqs[seq] = name
			d := bus.DeadLetter{Task: "score", Reason: "bad \xff\x1b[31m\n" + name, Stream: "S", Sequence: seq}
			require.NoError(t, receive(ctx, t, store(ctx, l, &nats.Msg{Subject: "x", Data: []byte(data), Header: header}, d)))
		}
	}
	listed := scanDead(t, b, bus.DeadFilter{})
	require.Len(t, listed, int(seq))
	for i, r := range listed {
		name := seqs[r.Sequence]
		require.EqualValues(t, i+1, r.Sequence)
		require.Equal(t, hostile[name], r.Header, name)
		require.Equal(t, "bad \uFFFD [31m "+name, r.Letter.Reason)
		one, err := b.DeadLetterAt(ctx, "ERGON_DLQ", r.Sequence)
		require.NoError(t, err, name)
		require.Equal(t, r.Header, one.Header)
		data, err := b.DeadPayload(ctx, one)
		require.NoError(t, err)
		require.Len(t, data, r.Size, name)
	}
}

// Whatever stands in the stream, the listing shows what can be read.
func TestForeignDeadLetters(t *testing.T) {
	for name, c := range map[string]struct {
		header nats.Header
		fault  string
		check  func(*testing.T, bus.DeadRecord)
	}{
		"no headers": {nil, "none of the headers", func(t *testing.T, r bus.DeadRecord) {
			require.Empty(t, r.TransactionID)
		}},
		"numbers": {
			nats.Header{"Ergon-Dead-Task": {"a"}, "Ergon-Dead-Attempts": {"-1"}, "Ergon-Dead-Deliveries": {"99999999999"}, "Ergon-Dead-Sequence": {"18446744073709551616"}},
			`Ergon-Dead-Attempts: "-1" is not a count`,
			func(t *testing.T, r bus.DeadRecord) {
				require.Len(t, r.Faults, 3)
				require.Equal(t, bus.DeadLetter{Task: "a"}, r.Letter)
			},
		},
		"time": {nats.Header{"Ergon-Dead-Failed-At": {"yesterday"}}, `"yesterday" is not a time`, func(t *testing.T, r bus.DeadRecord) {
			require.Equal(t, r.StoredAt, r.When())
		}},
		"twice": {nats.Header{"Ergon-Dead-Task": {"a", "b"}}, "Ergon-Dead-Task: stands there 2 times", func(t *testing.T, r bus.DeadRecord) {
			require.Equal(t, "a", r.Letter.Task)
		}},
		"other case": {nats.Header{"ergon-dead-task": {"a"}, "CE-ID": {"x"}}, "", func(t *testing.T, r bus.DeadRecord) {
			require.Equal(t, "a", r.Letter.Task)
			require.Equal(t, "x", r.TransactionID)
			require.Equal(t, nats.Header{"CE-ID": {"x"}}, r.Header)
		}},
		"no stream's sequence": {nats.Header{"Ergon-Dead-Stream": {"S"}}, "", func(t *testing.T, r bus.DeadRecord) {
			require.Empty(t, r.TransactionID)
		}},
		"not UTF-8": {nats.Header{"Ergon-Dead-Reason": {"\xff\x1b[0m"}}, "", func(t *testing.T, r bus.DeadRecord) {
			require.Equal(t, "\xff\x1b[0m", r.Letter.Reason)
		}},
		"long fault": {nats.Header{"Ergon-Dead-Attempts": {strings.Repeat("x", 4096)}}, "is not a count", func(t *testing.T, r bus.DeadRecord) {
			require.Less(t, len(r.Faults[0]), 200)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			at := time.Unix(1, 0).UTC()
			r := bus.ParseDeadLetter(&nats.Msg{Subject: "ergon.dlq.x", Header: c.header})
			r.StoredAt = at
			if c.fault == "" {
				require.Empty(t, r.Faults)
			} else {
				require.Contains(t, r.Faults[0], c.fault)
			}
			c.check(t, r)
		})
	}
}

func TestDeadPayloads(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	l := deadLetters(t, b, bus.DeadLetterConfig{})
	limit := int(b.PublishConn().MaxPayload())
	large := bytes.Repeat([]byte("large "), limit/6)
	noise := make([]byte, limit)
	_, _ = rand.Read(noise)
	for i, data := range [][]byte{large, noise, nil} {
		require.NoError(t, receive(ctx, t, store(ctx, l, &nats.Msg{Subject: "x", Data: data, Header: nats.Header{"Status": {"503"}}},
			bus.DeadLetter{Task: "a", Stream: "S", Sequence: uint64(i + 1)})))
	}
	listed := scanDead(t, b, bus.DeadFilter{})
	require.Len(t, listed, 3)
	require.Equal(t, "gzip", listed[0].Encoding)
	require.Less(t, listed[0].Size, limit)
	require.NotEmpty(t, listed[1].Object)
	for i, want := range [][]byte{large, noise, nil} {
		got, err := b.DeadPayload(ctx, listed[i])
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		require.Equal(t, nats.Header{"Status": {"503"}}, listed[i].Header)
	}

	objects, err := b.JetStream().ObjectStore(ctx, bus.PayloadBucket("ERGON_DLQ"))
	require.NoError(t, err)
	require.NoError(t, objects.Delete(ctx, strings.TrimPrefix(listed[1].Object, bus.PayloadBucket("ERGON_DLQ")+"/")))
	_, err = b.DeadPayload(ctx, listed[1])
	require.ErrorIs(t, err, bus.ErrDeadPayload)
	require.ErrorContains(t, err, "it is not there (any more)")
}

// What somebody could store to do harm, or a fault leave behind.
func TestBadDeadPayloads(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	deadLetters(t, b, bus.DeadLetterConfig{})
	_, err := b.JetStream().CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "SECRETS"})
	require.NoError(t, err)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range bus.MaxDeadPayload>>20 + 1 {
		_, err := z.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	var short bytes.Buffer
	z = gzip.NewWriter(&short)
	_, err = z.Write([]byte("a payload"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for text, m := range map[string]*nats.Msg{
		"it is said to be compressed":             {Header: nats.Header{"Ergon-Dead-Encoding": {"gzip"}}, Data: []byte("no")},
		"unexpected EOF":                          {Header: nats.Header{"Ergon-Dead-Encoding": {"gzip"}}, Data: short.Bytes()[:short.Len()-9]},
		"more than 67108864 bytes":                {Header: nats.Header{"Ergon-Dead-Encoding": {"gzip"}}, Data: bomb.Bytes()},
		`encoding "zstd" is not known`:            {Header: nats.Header{"Ergon-Dead-Encoding": {"zstd"}}},
		`kept in the bucket "ERGON_DLQ_PAYLOADS"`: {Header: nats.Header{"Ergon-Dead-Object": {"SECRETS/key"}}},
		"bucket not found":                        {Header: nats.Header{"Ergon-Dead-Object": {"ERGON_DLQ_PAYLOADS/x"}}},
	} {
		m.Subject = "ergon.dlq.a"
		ack, err := b.JetStream().PublishMsg(ctx, m)
		require.NoError(t, err)
		r, err := b.DeadLetterAt(ctx, "ERGON_DLQ", ack.Sequence)
		require.NoError(t, err)
		_, err = b.DeadPayload(ctx, r)
		require.ErrorIs(t, err, bus.ErrDeadPayload)
		require.ErrorContains(t, err, text)
	}
}

func TestScanDeadLetters(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	_, err := b.ScanDeadLetters(ctx, "ERGON_DLQ", bus.DeadFilter{}, nil)
	require.ErrorIs(t, err, bus.ErrStreamGone)
	_, err = b.DeadLetterAt(ctx, "ERGON_DLQ", 1)
	require.ErrorIs(t, err, bus.ErrStreamGone)

	l := deadLetters(t, b, bus.DeadLetterConfig{})
	require.Empty(t, scanDead(t, b, bus.DeadFilter{}))
	_, err = b.DeadLetterAt(ctx, "ERGON_DLQ", 1)
	require.ErrorIs(t, err, bus.ErrNoDeadLetter)

	const letters = 600 // more than one request brings
	now := time.Now()
	var results []<-chan error
	for i := range letters {
		d := bus.DeadLetter{
			Task: "even", Phase: "process", Category: "SYSTEM", Reason: "Connection refused",
			Subject: "orders.eu.placed", Stream: "S", Sequence: uint64(i + 1), FailedAt: now.Add(-3 * time.Hour),
		}
		if i%2 == 1 {
			d.Task, d.Phase, d.Category, d.Reason, d.Subject, d.FailedAt = "odd", "decode", "BUSINESS", "no", "orders.placed", now
		}
		results = append(results, store(ctx, l, nats.NewMsg("x"), d))
	}
	for _, c := range results {
		require.NoError(t, receive(ctx, t, c))
	}
	for name, c := range map[string]struct {
		filter bus.DeadFilter
		want   int
	}{
		"all":             {bus.DeadFilter{}, letters},
		"task":            {bus.DeadFilter{Tasks: []string{"odd", "else"}}, letters / 2},
		"tasks":           {bus.DeadFilter{Tasks: []string{"odd", "even"}}, letters},
		"category":        {bus.DeadFilter{Categories: []string{"business"}}, letters / 2},
		"phase":           {bus.DeadFilter{Phases: []string{"DECODE"}}, letters / 2},
		"reason":          {bus.DeadFilter{Reason: "connection REF"}, letters / 2},
		"since":           {bus.DeadFilter{Since: now.Add(-time.Hour)}, letters / 2},
		"since long ago":  {bus.DeadFilter{Since: now.Add(-4 * time.Hour)}, letters},
		"id":              {bus.DeadFilter{TransactionID: "S:7"}, 1},
		"subject":         {bus.DeadFilter{Subject: "orders.placed"}, letters / 2},
		"subject *":       {bus.DeadFilter{Subject: "orders.*.placed"}, letters / 2},
		"subject >":       {bus.DeadFilter{Subject: "orders.>"}, letters},
		"subject shorter": {bus.DeadFilter{Subject: "orders"}, 0},
		"subject longer":  {bus.DeadFilter{Subject: "orders.placed.*"}, 0},
		"nothing":         {bus.DeadFilter{Tasks: []string{"odd"}, Categories: []string{"SYSTEM"}}, 0},
	} {
		require.Len(t, scanDead(t, b, c.filter), c.want, name)
		require.Equal(t, name == "all", c.filter.IsZero())
	}

	enough := errors.New("enough")
	n := 0
	looked, err := b.ScanDeadLetters(ctx, "ERGON_DLQ", bus.DeadFilter{Tasks: []string{"odd"}}, func(bus.DeadRecord) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 6, looked)

	// A hole, and what lies before the first.
	s, err := b.JetStream().Stream(ctx, "ERGON_DLQ")
	require.NoError(t, err)
	require.NoError(t, s.DeleteMsg(ctx, 1))
	require.NoError(t, s.DeleteMsg(ctx, 300))
	require.Len(t, scanDead(t, b, bus.DeadFilter{}), letters-2)
	for _, seq := range []uint64{0, 1, 300, letters + 1} {
		_, err := b.DeadLetterAt(ctx, "ERGON_DLQ", seq)
		require.ErrorIs(t, err, bus.ErrNoDeadLetter)
	}
	_, err = b.DeadLetterAt(ctx, "ERGON_DLQ", letters)
	require.NoError(t, err)

	// Removed while it is read: what is gone is not there to be seen.
	looked, err = b.ScanDeadLetters(ctx, "ERGON_DLQ", bus.DeadFilter{}, func(r bus.DeadRecord) error {
		if r.Sequence == 2 {
			return s.Purge(ctx)
		}
		return nil
	})
	require.NoError(t, err)
	require.Less(t, looked, letters-2)
}
