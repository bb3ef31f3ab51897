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

	// The engine's sweeper alone uses these.
	held  time.Time // until when the lease is ours for sure
	asked time.Time // when its renewal was sent, zero for not yet
}

var _ ergon.Delivery = (*delivery)(nil)

func (d *delivery) init(s *Source, m *nats.Msg, now time.Time) {
	d.s, d.msg = s, m
	// A message that a pull brought has such a reply; without one it could not
	// be settled, and everything below stays zero.
	d.meta, _ = bus.ParseReply(m.Reply)
	stored := storedName(d.meta)
	d.raw = toRaw(m, d.meta, s.name, stored)
	var epoch string
	if d.raw.ID() == stored {
		epoch = strconv.FormatInt(d.meta.Timestamp, 36)
	}
	d.info = ergon.DeliveryInfo{
		Stored: stored, Attempt: 1, Deliveries: int(d.meta.Delivered), Lease: s.ackWait, Epoch: epoch,
	}
	d.held = now.Add(s.lease.keep)
}

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
		d.held = d.asked.Add(d.s.lease.keep)
	}
	now := time.Now()
	if !now.Before(d.held) {
		return fmt.Errorf("%s: no renewal was confirmed for %v: %w", d.info.Stored, d.s.ackWait, ergon.ErrLeaseLost)
	}
	if err := bus.InProgress(d.msg); err != nil {
		return fmt.Errorf("%s: renew the lease: %w", d.info.Stored, err)
	}
	d.asked = now
	d.s.lease.confirm()
	return nil
}

// Settle ends the delivery: acknowledged, given back with a delay, or stored as
// a dead letter and terminated.
func (d *delivery) Settle(settlement ergon.Settlement, done func(error)) {
	switch settlement.Kind {
	case ergon.Ack:
		done(bus.Ack(d.msg))
	case ergon.Release:
		done(bus.Nak(d.msg, max(settlement.After, time.Millisecond)))
	case ergon.Dead:
		// In a goroutine, for Store waits while its window is full and Settle may
		// not. Their number is bounded by the engine's window.
		d.s.dying.Go(func() { d.die(settlement, done) })
	default:
		done(fmt.Errorf("settle %s: %w", d.info.Stored, errors.ErrUnsupported))
	}
}

// die stores the dead letter and only then tells the server never to deliver
// the message again. A crash between the two stores it once more, under the same
// ID.
func (d *delivery) die(settlement ergon.Settlement, done func(error)) {
	d.s.cfg.DeadLetters.Store(d.s.ctx, d.msg, d.letter(settlement), func(err error) {
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
		Attempts: s.Err.Attempt, Deliveries: d.info.Deliveries,
		Outputs:   fmt.Sprintf("m=%d confirmed=%d unknown=%d", s.Dead.Outputs, s.Dead.Confirmed, s.Dead.Unknown),
		FirstSeen: s.FirstSeen, FailedAt: s.Dead.FailedAt,
		Stream: d.meta.Stream, Subject: d.msg.Subject, Sequence: d.meta.StreamSeq,
		// With the time at which it was stored: a stream that was made anew counts
		// from 1 again, and a plain message's ID is its number.
		TraceID: identity.TraceID(trace), ID: d.raw.Source() + " " + d.raw.ID() + " " + strconv.FormatInt(d.meta.Timestamp, 36),
	}
	if s.Dead.HandlerErr != nil {
		letter.HandlerError = s.Dead.HandlerErr.Error()
	}
	return letter
}
