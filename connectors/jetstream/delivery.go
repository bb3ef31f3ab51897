package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// delivery is one message under its lease. There are as many as the engine holds,
// and they come and go with every transaction, so it holds little.
type delivery struct {
	s         *Source
	msg       *nats.Msg
	raw       ergon.Raw
	stored    string // "<stream>:<sequence>"
	delivered int    // how often, by its consumer
	sequence  uint64
	timestamp int64
	canDefer  bool
	crashes   int
	past      *past // nil for one that was neither parked nor requeued

	start *bus.Start // recorded, of the flight's one goroutine

	// The engine's sweeper alone uses these.
	since time.Time // the last moment at which the lease was ours for sure
	asked time.Time // when its renewal was sent, zero for not yet
}

// past is where a transaction came from in the first place that was parked, or came
// back from dead letters.
type past struct {
	orig  *nats.Msg
	notes bus.Parked
}

var _ ergon.Delivery = (*delivery)(nil)

// confirmTime is how long the confirmation of an acknowledgement is waited for
// before it is sent again.
const confirmTime = 2 * time.Second

func (s *Source) delivery(m *nats.Msg, room bus.Room, now time.Time) *delivery {
	d := s.newDelivery(m, room, now)
	if d.past = requeued(m, s.cfg.Consumer.Stream, d.sequence, d.timestamp); d.past != nil {
		d.readPast(room)
		return d
	}
	d.raw = toRaw(m, d.timestamp, s.name, d.stored)
	return d
}

func (s *Source) newDelivery(m *nats.Msg, room bus.Room, now time.Time) *delivery {
	// A message that a pull brought has such a reply; without one it could not
	// be settled, and everything below stays zero.
	meta, _ := bus.ParseReply(m.Reply)
	return &delivery{
		s: s, msg: m, stored: storedName(meta.Stream, meta.StreamSeq), since: now,
		delivered: int(meta.Delivered), sequence: meta.StreamSeq, timestamp: meta.Timestamp,
		canDefer: s.parked != nil && room.Fits(m),
	}
}

// parkedDelivery makes a delivery of what was parked: it is the transaction that
// it was before.
func (s *Source) parkedDelivery(m, orig *nats.Msg, notes bus.Parked, room bus.Room, now time.Time) *delivery {
	d := s.newDelivery(m, room, now)
	d.past = &past{orig, notes}
	d.readPast(room)
	return d
}

// readPast makes it the transaction that it was.
func (d *delivery) readPast(room bus.Room) {
	orig, notes := d.past.orig, d.past.notes
	d.canDefer = d.s.parked != nil && room.Fits(orig)
	d.raw = toRaw(orig, notes.Timestamp, "nats:"+notes.Stream, storedName(notes.Stream, notes.Sequence))
}

// requeued is the past of a message that came back from dead letters, and nil for any
// other. It begins anew, with its first attempt.
func requeued(m *nats.Msg, stream string, sequence uint64, timestamp int64) *past {
	if _, ok := m.Header[semconv.Requeue]; !ok {
		return nil
	}
	orig, q, ok := bus.Unrequeue(m)
	if !ok {
		return nil
	}
	if q.Stream == "" {
		q.Stream, q.Sequence, q.Timestamp = stream, sequence, timestamp
	}
	return &past{orig, bus.Parked{
		Attempt: 1, FirstSeen: q.FirstSeen,
		Stream: q.Stream, Subject: orig.Subject, Sequence: q.Sequence, Timestamp: q.Timestamp,
	}}
}

// origin is the message as it came in the first place, and where it was stored.
func (d *delivery) origin() (m *nats.Msg, stream string, sequence uint64, timestamp int64) {
	if p := d.past; p != nil {
		return p.orig, p.notes.Stream, p.notes.Sequence, p.notes.Timestamp
	}
	return d.msg, d.s.cfg.Consumer.Stream, d.sequence, d.timestamp
}

// deliveries counts all of the transaction.
func (d *delivery) deliveries() int {
	if d.past != nil {
		return d.past.notes.Deliveries + d.delivered
	}
	return d.delivered
}

// Transaction is what was delivered.
func (d *delivery) Transaction() ergon.Raw { return d.raw }

// Info says how it was delivered.
func (d *delivery) Info() ergon.DeliveryInfo {
	info := ergon.DeliveryInfo{
		Stored: d.stored, Attempt: 1, Deliveries: d.delivered, Crashes: d.crashes,
		Lease: d.s.lease.ackWait(), CanDefer: d.canDefer,
	}
	name, timestamp := d.stored, d.timestamp
	if p := d.past; p != nil {
		info.Attempt, info.FirstSeen = p.notes.Attempt, p.notes.FirstSeen
		name, timestamp = storedName(p.notes.Stream, p.notes.Sequence), p.notes.Timestamp
	}
	if d.raw.ID() == name {
		info.Epoch = strconv.FormatInt(timestamp, 36)
	}
	return info
}

// Extend sends +WPI, which the server answers to nobody in particular: it
// extends the lease of a delivery that superseded this one just the same. So a
// lease counts as ours until the last renewal that is known to have arrived in
// time, and as lost after that.
func (d *delivery) Extend(context.Context) error {
	if !d.asked.IsZero() && d.s.lease.confirmed(d.asked) {
		d.since = d.asked
	}
	now := time.Now()
	// By the deadline that the consumer has now: the server measures what it
	// delivered before by it, too.
	if now.Sub(d.since) >= d.s.lease.keep() {
		return fmt.Errorf("%s: no renewal was confirmed for %v: %w", d.stored, d.s.lease.ackWait(), ergon.ErrLeaseLost)
	}
	if err := bus.InProgress(d.msg); err != nil {
		return fmt.Errorf("%s: renew the lease: %w", d.stored, err)
	}
	d.asked = now
	d.s.lease.confirm()
	return nil
}

// Settle ends the delivery: acknowledged, given back with a delay, or stored
// elsewhere, as parked or as a dead letter, and then taken from its stream.
func (d *delivery) Settle(settlement ergon.Settlement, done func(error)) {
	switch settlement.Kind {
	case ergon.Ack:
		if settlement.Confirm {
			d.besides(func() { done(d.confirmAck()) }, done)
			return
		}
		done(bus.Ack(d.msg))
	case ergon.Release:
		done(bus.Nak(d.msg, max(settlement.After, time.Millisecond)))
	default:
		d.settleElsewhere(settlement, done)
	}
}

// settleElsewhere is apart from Settle because its closures move the settlement to
// the heap, where an acknowledgement need not have it.
func (d *delivery) settleElsewhere(settlement ergon.Settlement, done func(error)) {
	switch settlement.Kind {
	case ergon.Dead:
		// In a goroutine, for Store waits while its window is full and Settle may
		// not. Their number is bounded by the engine's window.
		d.besides(func() { d.die(settlement, done) }, done)
	case ergon.Retry:
		if !d.canDefer {
			done(fmt.Errorf("settle %s: it can't be parked: %w", d.stored, errors.ErrUnsupported))
			return
		}
		d.besides(func() { d.park(settlement, done) }, done)
	default:
		done(fmt.Errorf("settle %s: %w", d.stored, errors.ErrUnsupported))
	}
}

// besides runs f in a goroutine that Close waits for.
func (d *delivery) besides(f func(), done func(error)) {
	if !d.s.goes(f) {
		done(fmt.Errorf("settle %s: %w", d.stored, ergon.ErrClosed))
	}
}

// confirmAck waits for the server's word. Within that time the lease stands: the
// engine keeps it up until done is called.
func (d *delivery) confirmAck() error {
	ctx, cancel := context.WithTimeout(d.s.ctx, confirmTime)
	defer cancel()
	return d.s.cfg.Bus.ConfirmAck(ctx, d.msg)
}

// die stores the dead letter and only then tells the server never to deliver
// the message again. A crash between the two stores it once more, under the same
// ID.
func (d *delivery) die(settlement ergon.Settlement, done func(error)) {
	orig, _, _, _ := d.origin()
	d.s.cfg.DeadLetters.Store(d.s.ctx, orig, d.letter(settlement), func(err error) {
		if err != nil {
			done(fmt.Errorf("store the dead letter of %s: %w", d.stored, err))
			return
		}
		done(bus.Term(d.msg, settlement.Err.Error()))
	})
}

func (d *delivery) letter(s ergon.Settlement) bus.DeadLetter {
	orig, stream, sequence, timestamp := d.origin()
	f := Found{Raw: d.raw, Message: orig, Stream: stream, Sequence: sequence, timestamp: timestamp}
	return letterOf(f, d.s.String(), d.deliveries(), s)
}

// storedName is "<stream>:<sequence>", which names a stored message and is the
// ID of one that has none.
func storedName(stream string, sequence uint64) string {
	var room [128]byte
	b := append(room[:0], stream...)
	b = append(b, ':')
	return string(strconv.AppendUint(b, sequence, 10))
}
