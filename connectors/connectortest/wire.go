package connectortest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
)

// publishAndReceive: what was sent and confirmed is delivered, once and unchanged;
// two messages are never the same stored one; what is acknowledged never comes again.
func publishAndReceive(s *scene) {
	src, sink := s.source(), s.sink()
	sent := numbered("tx", 20)
	s.send(sink, sent...)
	got := s.collect(src, len(sent), 7)
	stored := map[string]string{}
	for _, d := range got {
		tx, name := d.Transaction(), d.Info().Stored
		i := slices.IndexFunc(sent, func(want ergon.Raw) bool { return want.ID() == tx.ID() })
		if i < 0 {
			s.Fatalf("%q was delivered, and never sent", tx.ID())
		}
		if diff := difference(sent[i], tx); diff != "" {
			s.Errorf("%q: %s", tx.ID(), diff)
		}
		if twin, ok := stored[name]; ok && name != "" {
			s.Errorf("%q and %q are both the stored message %q", twin, tx.ID(), name)
		}
		stored[name] = tx.ID()
		if n := d.Info().Attempt; n != 0 && n != 1 {
			s.Errorf("%q: its first attempt is number %d", tx.ID(), n)
		}
		if n := d.Info().Deliveries; n != 0 && n != 1 {
			s.Errorf("%q: its first delivery is number %d", tx.ID(), n)
		}
	}
	s.ackAll(got)
	s.nothingLeft(src)
}

// envelopeRoundTrip: all that an envelope holds, and any payload, arrives as it was
// sent, whatever bytes it is made of.
func envelopeRoundTrip(s *scene) {
	const awkward = "é 世界 \"quoted\" 100% a=b; c,d\r\n\tx\x00\x7f"
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	full := ergon.Envelope{
		ID: "full", Source: "/connectortest/a b", Type: "order.placed", CausationID: "cause", CorrelationID: "flow",
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), ContentType: "application/json; charset=utf-8",
		Key: "customer 7",
	}
	ergon.WithMetadata("tenant", "acme")(&full)
	odd := ergon.Envelope{
		ID: "odd " + awkward, Source: awkward, Type: awkward, CausationID: awkward, CorrelationID: awkward,
		CreatedAt: time.Unix(1, 0).UTC(), Key: awkward,
	}
	ergon.WithMetadata("note", awkward)(&odd)
	ergon.WithMetadata("empty", "")(&odd)
	bare := ergon.Envelope{ID: "bare", Source: "/connectortest", CreatedAt: time.Unix(2, 0).UTC()}
	sent := []ergon.Raw{
		ergon.Make(full, []byte(`{"sku":"a"}`)), ergon.Make(odd, every), ergon.Make(bare, []byte{}),
		one("nothing is null"), one("large", ergon.WithContentType("text/plain")),
	}
	sent[3] = ergon.With(sent[3], []byte(nil))
	sent[4] = ergon.With(sent[4], []byte(strings.Repeat("x", 200_000)))
	s.roundTrip(sent)
}

// traceRoundTrip: trace parent and trace state arrive as they were sent, so that a
// trace goes on behind the hop; without one, none is made up for others to join.
func traceRoundTrip(s *scene) {
	s.roundTrip([]ergon.Raw{
		one("sampled", ergon.WithTrace(ergon.Trace{Parent: traceParent, State: "vendor=a b, other=c:d"})),
		one("unsampled", ergon.WithTrace(ergon.Trace{Parent: strings.TrimSuffix(traceParent, "1") + "0"})),
		one("untraced"),
	})
}

// roundTrip sends transactions and compares what is delivered.
func (s *scene) roundTrip(sent []ergon.Raw) {
	s.Helper()
	src, sink := s.source(), s.sink()
	s.send(sink, sent...)
	got := s.collect(src, len(sent), len(sent))
	if missing := unfetched(sent, got); len(missing) > 0 {
		s.Fatalf("%q did not arrive under their IDs: %q did", missing, ids(got))
	}
	for _, want := range sent {
		i := slices.IndexFunc(got, func(d ergon.Delivery) bool { return d.Transaction().ID() == want.ID() })
		if diff := difference(want, got[i].Transaction()); diff != "" {
			s.Errorf("%.20q: %s", want.ID(), diff)
		}
	}
	s.ackAll(got)
}

// multiValue: several values of one name in the metadata arrive, all of them and in
// their order. Repeated headers of a plain message become such values, under the
// header's name in lower case; a repeated header that says who the message is does
// not lose it.
func multiValue(s *scene) {
	s.roundTrip([]ergon.Raw{
		one("several", ergon.WithMetadata("tag", "b"), ergon.WithMetadata("tag", "a"), ergon.WithMetadata("tag", "b")),
	})
	if !s.h.has(Plain) {
		return
	}
	s.tr.Publish(s.TB, Message{Header: map[string][]string{"X-Tag": {"b", "a", "b"}}, Payload: []byte("repeated")})
	s.tr.Publish(s.TB, Message{Payload: []byte("identity"), Header: map[string][]string{
		"ce-id": {"one", "two"}, "ce-source": {"/a", "/b"}, "traceparent": {traceParent, traceParent},
	}})
	src := s.source()
	for _, d := range s.collect(src, 2, 2) {
		tx := d.Transaction()
		if string(tx.Payload()) == "repeated" {
			if got := tx.Metadata().Values("x-tag"); !slices.Equal(got, []string{"b", "a", "b"}) {
				s.Errorf("X-Tag: b, a, b became %q", got)
			}
		}
		s.settle(d, ack)
	}
	s.nothingLeft(src)
}

// plainIdentity: a message that lacks an identity is given one, of its own, that is
// the same at each of its deliveries.
func plainIdentity(s *scene) {
	for i := range 3 {
		s.tr.Publish(s.TB, Message{Payload: fmt.Appendf(nil, "%d", i)})
	}
	src := s.source()
	first := map[string]ergon.Delivery{}
	for _, d := range s.collect(src, 3, 3) {
		first[string(d.Transaction().Payload())] = d
		s.settle(d, ergon.Settlement{Kind: ergon.Release})
	}
	if len(first) != 3 {
		s.Fatalf("three messages came as %d", len(first))
	}
	for _, d := range s.collect(src, 3, 3) {
		before := first[string(d.Transaction().Payload())]
		if before == nil {
			s.Fatalf("the payload %q was never published", d.Transaction().Payload())
		}
		if diff := difference(before.Transaction(), d.Transaction()); diff != "" {
			s.Errorf("at its second delivery: %s", diff)
		}
		if was, is := before.Info(), d.Info(); was.Stored != is.Stored || was.Epoch != is.Epoch {
			s.Errorf("at its second delivery it is %q of epoch %q, and was %q of %q", is.Stored, is.Epoch, was.Stored, was.Epoch)
		}
		s.settle(d, ack)
	}
}

// poisonBytes: no payload and no header of a foreign message keeps a source from
// delivering it, byte for byte, with an identity, or from delivering what comes
// after it. As a dead letter it still has its bytes.
func poisonBytes(s *scene) {
	poison := []Message{
		{Payload: nil},
		{Payload: []byte{0}},
		{Payload: []byte("\xff\xfe\x00\x80 not UTF-8")},
		{Payload: []byte("\r\n\r\nGET / HTTP/1.1\r\n\r\n")},
		{Payload: []byte("+ACK")},
		{Payload: []byte("wrong"), Header: map[string][]string{
			"traceparent": {"00-zz"}, "tracestate": {"=,="}, "ce-time": {"yesterday"}, "ce-specversion": {"banana"},
			"ce-source": {"%zz%"}, "content-type": {"/;;"}, "ce-subject": {""},
		}},
		{Payload: []byte("long"), Header: map[string][]string{"X-Long": {strings.Repeat("v", 8<<10)}}},
		{Payload: []byte("utf8"), Header: map[string][]string{"X-Name": {"Zoë", ""}}},
	}
	for _, m := range poison {
		s.tr.Publish(s.TB, m)
	}
	src, sink := s.source(), s.sink()
	s.send(sink, one("good"))
	left := map[string]bool{"{\"id\":\"good\"}": true}
	for _, m := range poison {
		left[string(m.Payload)] = true
	}
	for _, d := range s.collect(src, len(poison)+1, 4) {
		tx := d.Transaction()
		if !left[string(tx.Payload())] {
			s.Errorf("the payload %q was never published", tx.Payload())
		}
		delete(left, string(tx.Payload()))
		if s.h.has(DeadLetters) && tx.ID() != "good" {
			s.settle(d, dead(tx, "poison"))
		} else {
			s.settle(d, ack)
		}
	}
	for payload := range left {
		s.Errorf("the payload %q did not arrive", payload)
	}
	s.nothingLeft(src)
	if s.h.has(DeadLetters) {
		s.letters(poison, "poison")
	}
}

// letters shows that the dead-letter store holds these messages and no others.
func (s *scene) letters(want []Message, reason string) {
	s.Helper()
	got := s.tr.DeadLetters(s.TB)
	if len(got) != len(want) {
		s.Errorf("%d dead letters were stored, there are %d", len(want), len(got))
	}
	for _, m := range want {
		i := slices.IndexFunc(got, func(l DeadLetter) bool { return payloadDifference(m.Payload, l.Payload) == "" })
		switch {
		case i < 0:
			s.Errorf("no dead letter has the payload %q", m.Payload)
		case !strings.Contains(got[i].Reason, reason):
			s.Errorf("the dead letter's reason is %q, and the error's %q", got[i].Reason, reason)
		}
	}
}
