package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func publishFields(ctx context.Context, p *bus.Publisher, fields []bus.Field, data []byte) <-chan outcome {
	c := make(chan outcome, 2)
	p.PublishFields(ctx, "s.x", fields, data, func(a bus.PubAck, err error) { c <- outcome{a, err} })
	return c
}

// headerOf is what the stream has stored.
func headerOf(ctx context.Context, t *testing.T, b *bus.Bus, sequence uint64) nats.Header {
	t.Helper()
	s, err := b.JetStream().Stream(ctx, "S")
	require.NoError(t, err)
	m, err := s.GetMsg(ctx, sequence)
	require.NoError(t, err)
	for _, name := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"} {
		m.Header.Del(name) // the server's word about it
	}
	return m.Header
}

// Each message has its own headers, whatever was published before it.
func TestPublishFields(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{})
	for _, fields := range [][]bus.Field{
		{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		{{Name: "A", Value: "3"}, {Name: "B", Value: "4"}},                         // other values
		{{Name: "A", Value: "5"}, {Name: "C", Value: "6"}},                         // as many, with another name
		{{Name: "A", Value: "7"}},                                                  // fewer
		{{Name: "A", Value: "8"}, {Name: "B", Value: "9"}, {Name: "C", Value: ""}}, // more
		nil,
		{{Name: "A", Value: "1"}, {Name: "M", Value: "2"}, {Name: "M", Value: "3"}, {Name: "M", Value: "4"}, {Name: "Z", Value: "5"}}, // several values
		{{Name: "A", Value: "5"}, {Name: "M", Value: "4"}, {Name: "M", Value: "3"}, {Name: "M", Value: "2"}, {Name: "Z", Value: "1"}},
	} {
		want := nats.Header{}
		for _, f := range fields {
			want[f.Name] = append(want[f.Name], f.Value)
		}
		got := receive(ctx, t, publishFields(ctx, p, fields, []byte("x")))
		require.NoError(t, got.err)
		require.Equal(t, want, headerOf(ctx, t, b, got.ack.Sequence))
	}
}

// A message that is too large is said to be as large as one with a map.
func TestPublishFieldsTooLarge(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{})
	large := strings.Repeat("x", 2<<20)
	fields := receive(ctx, t, publishFields(ctx, p, []bus.Field{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}, {Name: "B", Value: large}}, []byte("x")))
	require.ErrorIs(t, fields.err, bus.ErrTooLarge)
	header := receive(ctx, t, publish(ctx, p, &nats.Msg{Subject: "s.x", Data: []byte("x"), Header: nats.Header{"A": {"1", "2"}, "B": {large}}}))
	require.EqualError(t, fields.err, header.err.Error())
}

// What is sent again has its own headers, and not those of what had its slot before.
func TestPublishFieldsAgain(t *testing.T) {
	ctx := testContext(t)
	r := newRestartable(t)
	b := connect(t, bus.Config{URL: r.s.URL()})
	topology(t, b)
	p := publisher(t, b, bus.PublisherConfig{Window: 1, Timeout: patience})
	require.NoError(t, receive(ctx, t, publishFields(ctx, p, []bus.Field{{Name: "Nats-Msg-Id", Value: "one"}, {Name: "A", Value: "1"}}, nil)).err)
	r.stop()
	require.Eventually(t, func() bool { return !b.PublishConn().IsConnected() }, patience, time.Millisecond)
	second := publishFields(ctx, p, []bus.Field{{Name: "Nats-Msg-Id", Value: "two"}, {Name: "B", Value: "2"}}, nil)
	r.start()
	got := receive(ctx, t, second)
	require.NoError(t, got.err)
	require.Equal(t, nats.Header{"Nats-Msg-Id": {"two"}, "B": {"2"}}, headerOf(ctx, t, b, got.ack.Sequence))
}
