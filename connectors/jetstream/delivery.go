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
	"github.com/ergon-framework/ergon/internal/identity"
)

// delivery is one message under its lease.
type delivery struct {
	s    *Source
	msg  *nats.Msg
	meta bus.Meta
	raw  ergon.Raw
	info ergon.DeliveryInfo

	// Where the transaction came from in the first place: msg and meta, unless it
	// was parked since.
	orig   *nats.Msg
	origin bus.Meta
	before int // deliveries of it before it was parked

	start *bus.Start // recorded, of the flight's one goroutine

	// The engine's sweeper alone uses these.
	since time.Time // the last moment at which the lease was ours for sure
	asked time.Time // when its renewal was sent, zero for not yet
}

var _ ergon.Delivery = (*delivery)(nil)

// confirmTime is how long the confirmation of an acknowledgement is waited for
// before it is sent again.
const confirmTime = 2 * time.Second

func (d *delivery) init(s *Source, m *nats.Msg, now time.Time) {
	// A message that a pull brought has such a reply; without one it could not
	// be settled, and everything below stays zero.
	meta, _ := bus.ParseReply(m.Reply)
	d.take(s, m, meta, m, meta, now)
	d.info.Attempt = 1
}

// initParked makes a delivery of what was parked: it is the transaction that it
// was before.
func (d *delivery) initParked(s *Source, m, orig *nats.Msg, notes bus.Parked, now time.Time) {
	meta, _ := bus.ParseReply(m.Reply)
	origin := bus.Meta{Domain: meta.Domain, Stream: notes.Stream, StreamSeq: notes.Sequence, Timestamp: notes.Timestamp}
	d.take(s, m, meta, orig, origin, now)
	d.before = notes.Deliveries
	d.info.Attempt, d.info.FirstSeen = notes.Attempt, notes.FirstSeen
}

func (d *delivery) take(s *Source, m *nats.Msg, meta bus.Meta, orig *nats.Msg, origin bus.Meta, now time.Time) {
	d.s, d.msg, d.meta, d.orig, d.origin = s, m, meta, orig, origin
	id := storedName(origin)
	d.raw = toRaw(orig, origin, s.name, id)
	d.info = ergon.DeliveryInfo{
		Stored: id, Deliveries: int(meta.Delivered), Lease: s.lease.ackWait(),
		CanDefer: s.parked != nil && s.cfg.Parking.Room(orig),
	}
	if orig != m {
		d.info.Stored = storedName(meta)
	}
	if d.raw.ID() == id {
		d.info.Epoch = strconv.FormatInt(origin.Timestamp, 36)
	}
	d.since = now
}

// deliveries counts all of the transaction.
func (d *delivery) deliveries() int { return d.before + d.info.Deliveries }

// Transaction is what was delivered.
func (d *delivery) Transaction() ergon.Raw { return d.raw }

// Info says how it was delivered.
func (d *delivery) Info() ergon.DeliveryInfo { return d.info }

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
		return fmt.Errorf("%s: no renewal was confirmed for %v: %w", d.info.Stored, d.s.lease.ackWait(), ergon.ErrLeaseLost)
	}
	if err := bus.InProgress(d.msg); err != nil {
		return fmt.Errorf("%s: renew the lease: %w", d.info.Stored, err)
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
	case ergon.Dead:
		// In a goroutine, for Store waits while its window is full and Settle may
		// not. Their number is bounded by the engine's window.
		d.besides(func() { d.die(settlement, done) }, done)
	case ergon.Retry:
		if !d.info.CanDefer {
			done(fmt.Errorf("settle %s: it can't be parked: %w", d.info.Stored, errors.ErrUnsupported))
			return
		}
		d.besides(func() { d.park(settlement, done) }, done)
	default:
		done(fmt.Errorf("settle %s: %w", d.info.Stored, errors.ErrUnsupported))
	}
}

// besides runs f in a goroutine that Close waits for.
func (d *delivery) besides(f func(), done func(error)) {
	if !d.s.goes(f) {
		done(fmt.Errorf("settle %s: %w", d.info.Stored, ergon.ErrClosed))
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
	d.s.cfg.DeadLetters.Store(d.s.ctx, d.orig, d.letter(settlement), func(err error) {
		if err != nil {
			done(fmt.Errorf("store the dead letter of %s: %w", d.info.Stored, err))
			return
		}
		done(bus.Term(d.msg, settlement.Err.Error()))
	})
}

func (d *delivery) letter(s ergon.Settlement) bus.DeadLetter {
	trace := d.raw.Trace().Parent
	if trace == "" {
		trace = identity.TraceParent(d.raw.Source(), d.raw.ID())
	}
	letter := bus.DeadLetter{
		Task: s.Err.Task, Phase: string(s.Err.Phase), Category: string(s.Err.Category), Reason: s.Err.Reason(),
		Attempts: s.Err.Attempt, Deliveries: d.deliveries(),
		Outputs:   fmt.Sprintf("m=%d confirmed=%d unknown=%d", s.Dead.Outputs, s.Dead.Confirmed, s.Dead.Unknown),
		FirstSeen: s.FirstSeen, FailedAt: s.Dead.FailedAt,
		Stream: d.origin.Stream, Subject: d.orig.Subject, Sequence: d.origin.StreamSeq,
		// With the time at which it was stored: a stream that was made anew counts
		// from 1 again, and a plain message's ID is its number.
		// And with the consumer: others may fail on the same message, each for itself.
		TraceID: identity.TraceID(trace), ID: d.s.String() + " " + d.raw.Source() + " " + d.raw.ID() + " " + strconv.FormatInt(d.origin.Timestamp, 36),
	}
	if s.Dead.HandlerErr != nil {
		letter.HandlerError = s.Dead.HandlerErr.Error()
	}
	return letter
}

// storedName is "<stream>:<sequence>", which names a stored message and is the
// ID of one that has none.
func storedName(meta bus.Meta) string {
	b := make([]byte, 0, len(meta.Stream)+1+20)
	b = append(b, meta.Stream...)
	b = append(b, ':')
	return string(strconv.AppendUint(b, meta.StreamSeq, 10))
}
