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
)

// parked is a source's second consumer, of transactions whose next attempt is due.
type parked struct {
	lane     string
	consumer bus.Consumer
	ackWait  time.Duration // when it was made sure of
	puller   *bus.Puller
	buf      []*nats.Msg
	told     bool // that nothing else is left; of the one Fetch that runs
}

func (s *Source) newParked(ctx context.Context) (*parked, error) {
	p := &parked{lane: bus.Lane(s.cfg.Consumer.Stream, s.cfg.Consumer.Durable)}
	p.consumer = s.cfg.Parking.Consumer(p.lane)
	p.consumer.AckWait = s.cfg.Consumer.AckWait
	p.consumer.MaxAckPending = s.cfg.Consumer.MaxAckPending
	info, err := s.ensure(ctx, p.consumer)
	if err != nil {
		return nil, err
	}
	p.ackWait = info.AckWait
	p.puller, err = s.newPuller(info)
	return p, err
}

// fetchBoth takes what is due first, an eighth of the room at most, so that a
// thousand parked transactions that fall due together leave room for fresh ones,
// and then waits for either.
func (s *Source) fetchBoth(ctx context.Context, room int) ([]ergon.Delivery, error) {
	share := max(1, room/8)
	for {
		due, err := s.fetchDue(ctx, share)
		if err != nil {
			return nil, s.fetchError(err)
		}
		if len(due) > 0 {
			s.parked.told = false
			s.buf, err = s.puller.Poll(max(0, room-len(due)), s.buf[:0])
			if err != nil {
				s.log.Debug("poll beside parked ones", "error", err) // the next Fetch meets it again
			}
			return s.deliveries(due, s.buf), nil
		}
		msgs, err := s.fetch(ctx, max(1, room-share), s.parked.puller.Ready())
		switch {
		case errors.Is(err, bus.ErrDrained):
			empty, err := s.cfg.Parking.Empty(ctx, s.parked.lane)
			if err != nil {
				return nil, s.fetchError(err)
			}
			if empty {
				return nil, s.drained()
			}
			s.tellOfParked(ctx)
			if err := s.eitherReady(ctx); err != nil {
				return nil, s.fetchError(err)
			}
		case err != nil:
			return nil, s.fetchError(err)
		case len(msgs) > 0:
			s.parked.told = false
			return s.deliveries(nil, msgs), nil
		}
	}
}

// parkingAgain makes the stream of parked transactions anew if it is gone.
func (s *Source) parkingAgain(ctx context.Context, gone error) error {
	if errors.Is(gone, bus.ErrStreamGone) {
		s.lostStream(s.parked.consumer.Stream)
	}
	return s.cfg.Parking.Ensure(ctx)
}

// tellOfParked says, once until something comes, that only time is waited for.
func (s *Source) tellOfParked(ctx context.Context) {
	if s.parked.told {
		return
	}
	s.parked.told = true
	if n, err := s.cfg.Parking.Count(ctx, s.parked.lane); err == nil && n > 0 {
		s.log.Info("nothing is left but transactions that wait for their next attempt", "consumer", s.String(), "parked", n)
	}
}

// eitherReady waits for a message of either kind, or a second.
func (s *Source) eitherReady(ctx context.Context) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-s.puller.Ready():
	case <-s.parked.puller.Ready():
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// fetchDue returns what is due and here, without waiting.
func (s *Source) fetchDue(ctx context.Context, room int) ([]ergon.Delivery, error) {
	p := s.parked
	msgs, err := p.puller.Poll(room, p.buf[:0])
	if errors.Is(err, bus.ErrConsumerGone) || errors.Is(err, bus.ErrStreamGone) {
		s.log.Warn("the consumer of parked transactions is gone: making it anew", "consumer", p.consumer.Durable, "error", err)
		if err := letGo(ctx); err != nil {
			return nil, err
		}
		if err := s.parkingAgain(ctx, err); err != nil {
			return nil, err
		}
		var info bus.Info
		if info, err = s.ensure(ctx, p.consumer); err != nil {
			return nil, err
		}
		s.follow(due, p.puller, info)
		msgs, err = p.puller.Poll(room, p.buf[:0])
	}
	p.buf = msgs
	if err != nil || len(msgs) == 0 {
		return nil, err
	}
	now := time.Now()
	ripe, fits := make([]ergon.Delivery, 0, len(msgs)), s.room()
	for _, m := range msgs {
		orig, notes, err := bus.Unpark(m)
		switch early := notes.Due.Sub(now); {
		case err != nil:
			// Somebody published to our subject. It can't be run: whose is it? Kept,
			// where everything is that can't be.
			s.log.Error("a message among the parked ones was not parked by Ergon: it becomes a dead letter", "error", err)
			s.foreign(m, err)
			continue
		case early > 0:
			// The server's clock is ahead of ours. Never early by the clock of who runs it.
			if err := bus.Nak(m, early); err != nil {
				s.log.Debug("give back what is not due yet", "error", err)
			}
			continue
		default:
			ripe = append(ripe, s.parkedDelivery(m, orig, notes, fits, now))
		}
	}
	clear(msgs)
	s.countCrashes(ripe)
	return ripe, nil
}

// foreign sets a message aside that nobody parked.
func (s *Source) foreign(m *nats.Msg, cause error) {
	meta, _ := bus.ParseReply(m.Reply)
	letter := bus.DeadLetter{
		Task: s.cfg.Task, Phase: string(ergon.PhaseFetch), Category: string(ergon.CategoryBusiness), Reason: cause.Error(),
		Deliveries: int(meta.Delivered), FailedAt: time.Now(), Stream: meta.Stream, Subject: m.Subject, Sequence: meta.StreamSeq,
		ID: storedName(meta.Stream, meta.StreamSeq),
	}
	s.goes(func() { // if the source is closed, the message comes again
		s.cfg.DeadLetters.Store(s.ctx, m, letter, func(err error) {
			if err == nil {
				err = bus.Term(m, cause.Error())
			}
			if err != nil { // it comes again
				s.log.Warn("set a message aside that nobody parked", "error", err)
			}
		})
	})
}

// room is what may be parked; nothing without parking.
func (s *Source) room() bus.Room {
	if s.cfg.Parking == nil {
		return bus.Room{}
	}
	return s.cfg.Parking.Room()
}

// park stores the transaction for its next attempt and only then acknowledges the
// message. A crash between the two parks it once more, in its own place.
func (d *delivery) park(settlement ergon.Settlement, done func(error)) {
	now := time.Now()
	orig, stream, sequence, timestamp := d.origin()
	id := d.raw.Source() + " " + d.raw.ID()
	if n := bus.RequeueCount(orig.Header); n > 0 {
		// Or the stream would take it for what was parked before it failed for good,
		// and drop it as a copy.
		id += " #" + strconv.Itoa(n)
	}
	notes := bus.Parked{
		ID: id, Due: now.Add(settlement.After), Attempt: settlement.NextAttempt,
		Deliveries: d.deliveries(), FirstSeen: settlement.FirstSeen,
		Stream: stream, Subject: orig.Subject, Sequence: sequence, Timestamp: timestamp,
		Reason: settlement.Err.Reason(),
	}
	d.s.cfg.Parking.Park(d.s.ctx, d.s.parked.lane, orig, notes, func(err error) {
		if err != nil {
			done(fmt.Errorf("%s: %w", d.stored, err))
			return
		}
		done(bus.Ack(d.msg))
	})
}
