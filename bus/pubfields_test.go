package bus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// publishFields publishes and returns where its outcome will be. The fields are the
// caller's again at once, and are spoilt to show it.
func publishFields(ctx context.Context, p *bus.Publisher, subject string, fields []bus.Field, data []byte) <-chan outcome {
	c := make(chan outcome, 2)
	own := append([]bus.Field{}, fields...)
	p.PublishFields(ctx, subject, own, data, func(a bus.PubAck, err error) { c <- outcome{a, err} })
	for i := range own {
		own[i] = bus.Field{Name: "Spoilt", Value: "spoilt"}
	}
	return c
}

// headerOf is what a message with these fields arrives with.
func headerOf(fields []bus.Field) nats.Header {
	if len(fields) == 0 {
		return nil
	}
	h := nats.Header{}
	for _, f := range fields {
		h[f.Name] = append(h[f.Name], f.Value)
	}
	return h
}

// Headers arrive as they were given, whatever the message before had: the same names,
// fewer, more, others, several values of one name, none.
func TestPublishFieldsArriveAsGiven(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	stream := held(t, b, "t.x")
	p := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	f := func(pairs ...string) (fields []bus.Field) {
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, bus.Field{Name: pairs[i], Value: pairs[i+1]})
		}
		return fields
	}
	for i, fields := range [][]bus.Field{
		f("ce-id", "1", "ce-type", "a"),
		f("ce-id", "2", "ce-type", "b"),           // other values
		f("ce-id", "3"),                           // fewer
		nil,                                       // none
		f("ce-id", "4"),                           // as before those
		f("ce-id", "5", "ce-time", "t"),           // another name
		f("ce-time", "u", "ce-id", "6"),           // another order
		f("m", "1", "m", "2", "m", "3", "x", "y"), // several of one name
		f("m", "4", "m", "5", "m", "6", "x", "z"), // and again
		f("m", "7", "m", "8", "x", "y", "x", "z"), // as many, divided otherwise
		f("CE-ID", "9", "ce-id", "", "x", "é"),    // names and values as they are
	} {
		data := fmt.Appendf(nil, "payload %d", i)
		result := publishFields(ctx, p, "t.x", fields, data)
		m := receive(ctx, t, stream)
		require.Equal(t, headerOf(fields), m.Header, "message %d", i)
		require.Equal(t, string(data), string(m.Data))
		confirm(t, m, i+1)
		require.NoError(t, receive(ctx, t, result).err)
	}
	// Publish and PublishFields share what is used again.
	m := nats.NewMsg("t.x")
	m.Header.Set("Own", "1")
	result := publish(ctx, p, m)
	got := receive(ctx, t, stream)
	require.Equal(t, nats.Header{"Own": {"1"}}, got.Header)
	confirm(t, got, 99)
	require.NoError(t, receive(ctx, t, result).err)
	require.Equal(t, nats.Header{"Own": {"1"}}, m.Header, "the caller's is not touched")
}

// What is sent again after the connection was lost, or waited for one, has its headers
// still: its ID above all, without which it would be stored twice.
func TestPublishFieldsAreSentAgain(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	js := b.JetStream()
	// A stream without confirmations holds the messages in their slots.
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, NoAck: true})
	require.NoError(t, err)
	p := publisher(t, b, bus.PublisherConfig{Timeout: patience})
	fields := func(id string) []bus.Field {
		return []bus.Field{{Name: "Nats-Msg-Id", Value: id}, {Name: "m", Value: id}, {Name: "m", Value: id + id}}
	}
	named := publishFields(ctx, p, "s.x", fields("one"), []byte("one"))
	nameless := publishFields(ctx, p, "s.x", fields("two")[1:], []byte("two"))
	require.Eventually(t, func() bool { // or it would confirm them after the update
		s, err := js.Stream(ctx, "S")
		return err == nil && s.CachedInfo().State.Msgs == 2
	}, patience, time.Millisecond)
	_, err = js.UpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)

	r.stop()
	require.ErrorIs(t, receive(ctx, t, nameless).err, bus.ErrUnknown, "it can't be sent again")
	waiting := make(map[string]<-chan outcome)
	for i := range 20 { // published with no server there
		id := fmt.Sprintf("waiting-%d", i)
		waiting[id] = publishFields(ctx, p, "s.x", fields(id), []byte(id))
	}
	r.start()

	got := receive(ctx, t, named)
	require.NoError(t, got.err)
	require.True(t, got.ack.Resent)
	require.True(t, got.ack.Duplicate, "it has its ID: the first copy was stored")
	for id, result := range waiting {
		got := receive(ctx, t, result)
		require.NoError(t, got.err, id)
		require.False(t, got.ack.Duplicate)
	}
	var stored []string
	require.NoError(t, b.Scan(ctx, "S", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		id := string(m.Data)
		stored = append(stored, id)
		want := headerOf(fields(id))
		if id == "two" {
			want = headerOf(fields(id)[1:])
		}
		for name, values := range want { // a scan may add its own
			require.Equal(t, values, m.Header[name], "%s of %s", name, id)
		}
		return nil
	}))
	want := []string{"one", "two"}
	for id := range waiting {
		want = append(want, id)
	}
	require.ElementsMatch(t, want, stored)
}

// Headers count against the server's limit: a message that is one byte over it is
// refused, and the error names its size; one that just fits is stored.
func TestPublishFieldsTooLarge(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{})
	fields := []bus.Field{{Name: "Nats-Msg-Id", Value: "one"}, {Name: "m", Value: "1"}, {Name: "m", Value: "22"}}
	const headers = len("NATS/1.0\r\nNats-Msg-Id: one\r\nm: 1\r\nm: 22\r\n\r\n")
	limit := int(b.PublishConn().MaxPayload())
	for _, c := range []struct {
		fields []bus.Field
		fits   int // bytes of payload
	}{{fields, limit - headers}, {nil, limit}} {
		got := receive(ctx, t, publishFields(ctx, p, "s.x", c.fields, make([]byte, c.fits+1)))
		require.ErrorIs(t, got.err, bus.ErrTooLarge)
		require.True(t, bus.Permanent(got.err))
		require.ErrorContains(t, got.err, fmt.Sprintf("%d bytes of payload with headers, the server takes %d", limit+1, limit))
		got = receive(ctx, t, publishFields(ctx, p, "s.x", c.fields, make([]byte, c.fits)))
		require.NoError(t, got.err)
		require.False(t, got.ack.Duplicate, "what was refused was not stored")
	}
}

// Hundreds who publish at once, with names that differ from one to the next, never see
// each other's headers.
func TestPublishFieldsAreNobodyElses(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{Window: 64})
	const publishers, each = 300, 20
	fieldsOf := func(id string, n int) []bus.Field {
		fields := []bus.Field{{Name: "Nats-Msg-Id", Value: id}}
		for i := range n % 4 {
			fields = append(fields, bus.Field{Name: fmt.Sprintf("h%d", i), Value: id}, bus.Field{Name: "m" + strings.Repeat("m", i), Value: id})
		}
		return fields
	}
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			for j := range each {
				id := fmt.Sprintf("%d.%d", i, j)
				p.PublishFields(ctx, "s.x", fieldsOf(id, i+j), []byte(id), func(ack bus.PubAck, err error) {
					if err != nil || ack.Duplicate {
						t.Errorf("%s: %+v, %v", id, ack, err)
					}
				})
			}
		})
	}
	wg.Wait()
	require.NoError(t, p.Flush(ctx))
	seen := map[string]bool{}
	require.NoError(t, b.Scan(ctx, "S", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		id := string(m.Data)
		seen[id] = true
		var i, j int
		_, err := fmt.Sscanf(id, "%d.%d", &i, &j)
		require.NoError(t, err)
		require.Equal(t, headerOf(fieldsOf(id, i+j)), m.Header)
		return nil
	}))
	require.Len(t, seen, publishers*each)
}
