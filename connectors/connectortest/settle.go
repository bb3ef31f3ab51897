package connectortest

import (
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
)

// redeliveryOnError: what is released is delivered again, as the same stored message
// with the same transaction, however often. It counts as a delivery and as no
// attempt, and takes nothing that was acknowledged along.
func redeliveryOnError(s *scene) {
	src, sink := s.source(), s.sink()
	s.send(sink, numbered("tx", 3)...)
	got := s.collect(src, 3, 3)
	d := got[1]
	s.ackAll([]ergon.Delivery{got[0], got[2]})
	for range 8 {
		s.settle(d, ergon.Settlement{Kind: ergon.Release})
		again := s.collect(src, 1, 1)[0]
		s.same(d, again)
		if was, is := d.Info().Attempt, again.Info().Attempt; max(was, 1) != max(is, 1) {
			s.Errorf("a release made attempt %d of attempt %d", is, was)
		}
		d = again
	}
	s.settle(d, ack)
	s.nothingLeft(src)
}

// same shows that one delivery is another of the same stored message.
func (s *scene) same(was, is ergon.Delivery) {
	s.Helper()
	if diff := difference(was.Transaction(), is.Transaction()); diff != "" {
		s.Errorf("delivered again, %s", diff)
	}
	w, i := was.Info(), is.Info()
	if w.Stored != i.Stored {
		s.Errorf("%q delivered again is the stored message %q, and was %q", is.Transaction().ID(), i.Stored, w.Stored)
	}
	if s.h.has(CountsDeliveries) && i.Deliveries <= w.Deliveries {
		s.Errorf("%q is delivered again, and its deliveries are %d after %d", is.Transaction().ID(), i.Deliveries, w.Deliveries)
	}
	if !w.FirstSeen.IsZero() && !w.FirstSeen.Equal(i.FirstSeen) {
		s.Errorf("%q delivered again was first seen at %v, not at %v", is.Transaction().ID(), i.FirstSeen, w.FirstSeen)
	}
}

// redeliveryWithoutAck: what nobody settles, as when its process died, is delivered
// again, to any source, when its lease has ended, and not before. Until then the
// source is not drained. What was acknowledged does not come with it.
func redeliveryWithoutAck(s *scene) {
	src, sink := s.source(), s.sink()
	other := s.rival(src)
	s.send(sink, numbered("tx", 4)...)
	began := time.Now()
	held := s.collect(src, 4, 4)
	s.ackAll(held[:2])
	left := map[string]ergon.Delivery{}
	for _, d := range held[2:] {
		left[d.Transaction().ID()] = d
	}
	for _, d := range s.collect(other, 2, 2) {
		if past, lease := time.Since(began), d.Info().Lease; past < lease {
			s.Errorf("delivered again %v after a fetch that gave it for %v", past, lease)
		}
		was := left[d.Transaction().ID()]
		if was == nil {
			s.Fatalf("%q was acknowledged, and is delivered again", d.Transaction().ID())
		}
		s.same(was, d)
		s.settle(d, ack)
	}
	s.nothingLeft(other)
}

// confirmedAck: where Settlement.Confirm asks for it, done is called only once the
// transport has taken the acknowledgement.
func confirmedAck(s *scene) {
	src, sink := s.source(), s.sink()
	s.send(sink, numbered("tx", 20)...)
	for left := 20; left > 0; left-- {
		d := s.collect(src, 1, 1)[0]
		s.settle(d, ergon.Settlement{Kind: ergon.Ack, Confirm: true})
		if n := s.tr.Unacked(s.TB); n > 0 {
			s.Fatalf("an acknowledgement was confirmed, and the transport counts %d without one", n)
		}
	}
	s.nothingLeft(src)
}

// delaysNeverEarly: what is released, or parked, with a delay is delivered again
// after that delay at the earliest. Each waits for its own delay.
func delaysNeverEarly(s *scene) {
	src, sink := s.source(), s.sink()
	kinds := []ergon.SettleKind{ergon.Release}
	if s.h.has(Defers) {
		kinds = append(kinds, ergon.Retry)
	}
	for _, kind := range kinds {
		txs := numbered(kind.String(), 5)
		s.send(sink, txs...)
		type due struct {
			from  time.Time
			after time.Duration
		}
		dues := map[string]due{}
		for i, d := range s.collect(src, len(txs), len(txs)) {
			// The last one delivered is the first one due.
			after := time.Duration(len(txs)-i) * 100 * time.Millisecond
			tx := d.Transaction()
			dues[tx.ID()] = due{time.Now(), after}
			s.settle(d, ergon.Settlement{
				Kind: kind, After: after, NextAttempt: 2, Err: failure(tx, "not now"), FirstSeen: time.Now().UTC(),
			})
		}
		for len(dues) > 0 {
			for _, d := range s.fetch(src, 1) {
				id := d.Transaction().ID()
				due, ok := dues[id]
				if !ok {
					s.Fatalf("%q is delivered once more", id)
				}
				delete(dues, id)
				if past := time.Since(due.from); past < due.after {
					s.Errorf("%q came %v after a %v that asked for %v", id, past, kind, due.after)
				}
				s.settle(d, ack)
			}
		}
	}
	s.nothingLeft(src)
}

// retry: a Retry settlement stores the transaction for later, whole, with the number
// of its next attempt and when the first one began. The message that it was stored
// as before is done with. It may be parked again and again, and meanwhile the source
// is not drained.
func retry(s *scene) {
	src, sink := s.source(), s.sink()
	s.send(sink, one("tx", ergon.WithKey("key"), ergon.WithType("placed"), ergon.WithMetadata("tenant", "acme"),
		ergon.WithCausationID("cause"), ergon.WithCorrelationID("flow"), ergon.WithContentType("application/json"),
		ergon.WithTrace(ergon.Trace{Parent: traceParent, State: "a=b"})))
	d := s.collect(src, 1, 1)[0]
	sent := d.Transaction()
	began := d.Info().FirstSeen
	if began.IsZero() {
		began = time.Now().UTC()
	}
	for i, next := range []int{2, 3, 9, 10} {
		s.settle(d, ergon.Settlement{
			Kind: ergon.Retry, After: time.Duration(i) * 100 * time.Millisecond, NextAttempt: next,
			Err: failure(sent, "not now"), FirstSeen: began,
		})
		d = s.collect(src, 1, 1)[0]
		if diff := difference(sent, d.Transaction()); diff != "" {
			s.Fatalf("parked for attempt %d, %s", next, diff)
		}
		if got := d.Info().Attempt; got != next {
			s.Fatalf("parked for attempt %d, it came as attempt %d", next, got)
		}
		if got := d.Info().FirstSeen; !got.Equal(began) {
			s.Fatalf("parked for attempt %d, it was first seen at %v, not at %v", next, got, began)
		}
	}
	s.settle(d, ack)
	s.nothingLeft(src)
}

// deadLetters: a Dead settlement is confirmed once the dead letter is stored, with
// the message's bytes and the reason. The message is done with then. Many may die at
// once.
func deadLetters(s *scene) {
	src, sink := s.source(), s.sink()
	const n = 40
	txs := numbered("tx", n)
	var want []Message
	for i, tx := range txs {
		txs[i] = ergon.With(tx, append([]byte{0xff, 0, '\n'}, fmt.Sprint(i)...))
		want = append(want, Message{Payload: txs[i].Payload()})
	}
	s.send(sink, txs...)
	var all []*answer
	for _, d := range s.collect(src, n, n) {
		all = append(all, s.settling(d, dead(d.Transaction(), "quantity 0 is not positive")))
	}
	if !s.confirmed(all) {
		return
	}
	s.letters(want, "quantity 0 is not positive")
	s.nothingLeft(src)
}
