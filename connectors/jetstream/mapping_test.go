package jetstream

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// Whatever a transaction holds, it comes back from the wire as it went, and no
// value can break out of its header (R048).
func FuzzRoundTrip(f *testing.F) {
	f.Add("id", "/src", "type", "key", "flow", "cause", "application/json", "name", "value", []byte("{}"))
	f.Add("a b%41\r\nX: y", "é", "\x00", "\"", "%", "%zz", "", "N A\r\nM:E", "v\r\nA: b", []byte(nil))
	f.Fuzz(func(t *testing.T, id, source, typ, key, flow, cause, contentType, name, value string, payload []byte) {
		if id == "" || source == "" {
			return // the engine makes none without
		}
		e := ergon.Envelope{
			ID: id, Source: source, Type: typ, Key: key, CorrelationID: flow, CausationID: cause,
			CreatedAt: time.Unix(1, 5).UTC(), ContentType: strings.TrimSpace(contentType),
			Trace: ergon.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		}
		ergon.WithMetadata(name, value)(&e)
		m := toMsg("s", ergon.Make(e, payload))
		for header, values := range m.Header {
			for _, text := range append(values, header) {
				if strings.ContainsAny(text, "\r\n") {
					t.Fatalf("%q breaks a header", text)
				}
			}
		}
		got := toRaw(m, 0, "nats:S", "S:1")
		require.Equal(t, id, got.ID())
		require.Equal(t, source, got.Source())
		require.Equal(t, typ, got.Type())
		require.Equal(t, key, got.Key())
		require.Equal(t, cause, got.CausationID())
		require.Equal(t, e.CreatedAt, got.CreatedAt())
		require.Equal(t, e.Trace, got.Trace())
		require.Equal(t, payload, got.Payload())
		if flow != "" {
			require.Equal(t, flow, got.CorrelationID())
		}
		if utf8.ValidString(name) {
			require.Equal(t, e.Metadata, got.Metadata(), "%q", name)
		}
	})
}

// A message that does not say when it was made is as old as its storing.
func TestPlainMessageIsAsOldAsItsStoring(t *testing.T) {
	stored := time.Unix(5, 7)
	require.Equal(t, stored.UTC(), toRaw(&nats.Msg{}, stored.UnixNano(), "nats:S", "S:1").CreatedAt())
}

// Any headers at all make a transaction with an identity, and none of the
// reserved ones becomes metadata.
func FuzzForeignHeaders(f *testing.F) {
	f.Add("ce-id", "x", "CE-Time", "yesterday")
	f.Add("Ergon-Meta-", "%4", "traceparent", "00-zz")
	f.Add("nats-msg-id", "", "Ergon-Dead-Reason", "x")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		m := &nats.Msg{Header: nats.Header{name1: {value1, value2}, name2: {value2}}}
		got := toRaw(m, 0, "nats:S", "S:1")
		require.True(t, got.Valid())
		require.NotEmpty(t, got.Source())
		for name := range got.Metadata().All() {
			if name == strings.ToLower(name1) || name == strings.ToLower(name2) {
				require.False(t, strings.HasPrefix(name, "nats-") || strings.HasPrefix(name, "ergon-"), name)
			}
		}
	})
}

func BenchmarkToMsg(b *testing.B) {
	tx := ergon.Make(ergon.Envelope{
		ID: "0123456789abcdef0123456789abcdef", Source: "/ergon/app/task", Type: "scored", CausationID: "IN:123456",
		CorrelationID: "IN:123456", CreatedAt: time.Now(), ContentType: "application/json",
		Trace: ergon.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}, make([]byte, 256))
	b.ReportAllocs()
	for b.Loop() {
		var room [manyFields]bus.Field
		_ = appendFields(room[:0], tx)
	}
}

func BenchmarkToRaw(b *testing.B) {
	m := toMsg("out.scored", ergon.Make(ergon.Envelope{
		ID: "0123456789abcdef0123456789abcdef", Source: "/ergon/app/task", Type: "scored", CausationID: "IN:123456",
		CorrelationID: "IN:123456", CreatedAt: time.Now(), ContentType: "application/json",
		Trace: ergon.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}, make([]byte, 256)))
	b.ReportAllocs()
	for b.Loop() {
		_ = toRaw(m, 0, "nats:IN", "IN:1")
	}
}

// toMsg is what a sink publishes.
func toMsg(subject string, tx ergon.Raw) *nats.Msg {
	h := nats.Header{}
	for _, f := range appendFields(nil, tx) {
		h[f.Name] = append(h[f.Name], f.Value)
	}
	return &nats.Msg{Subject: subject, Header: h, Data: tx.Payload()}
}
