package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/internal/semconv"
)

const (
	// A subject that nobody listens to is tried again so often, so far apart:
	// a stream's leader election takes a moment.
	noStreamTries = 4
	noStreamWait  = 250 * time.Millisecond
	// resendWait follows a failed write; the connection's loss is noticed soon.
	resendWait = 50 * time.Millisecond
)

type slotState uint8

const (
	slotFree    slotState = iota
	slotSent              // a reply may come
	slotWaiting           // to be sent (again)
)

// A slot holds one message between Publish and done.
type slot struct {
	mu       sync.Mutex // guards memory only: nothing is sent and done isn't called under it
	gen      uint32     // of the reply subject; each sending has its own
	state    slotState
	msg      nats.Msg
	fields   []Field // its headers, where they came as such; its memory is used again
	done     func(PubAck, error)
	deadline time.Time
	retryAt  time.Time // when waiting
	refused  int       // times that nobody listened
	copies   int       // sent and not known to be refused
	strange  bool      // something answered that was no confirmation
	overdue  bool      // the sweeper has found the deadline passed once
	writing  bool      // the message is being handed to nats.go
	lost     bool      // the connection went meanwhile
}

// begin fills the slot and returns the reply subject of this use.
func (s *slot) begin(p *Publisher, i uint32, m nats.Msg, fields []Field, deadline time.Time, done func(PubAck, error)) (string, uint32) {
	s.gen++
	s.state = slotSent
	s.msg = m
	s.msg.Reply = p.replyTo(i, s.gen)
	s.fields = append(s.fields[:0], fields...) // for another sending: the caller keeps its own
	s.done, s.deadline = done, deadline
	s.retryAt, s.refused, s.copies, s.strange, s.overdue = time.Time{}, 0, 1, false, false
	s.writing, s.lost = true, false
	return s.msg.Reply, s.gen
}

// resend turns a waiting slot into a sent one and returns what to send.
func (s *slot) resend(p *Publisher, i uint32) (nats.Msg, []Field, uint32) {
	s.gen++
	s.state = slotSent
	s.copies++
	s.writing, s.lost = true, false
	s.msg.Reply = p.replyTo(i, s.gen)
	return s.msg, slices.Clone(s.fields), s.gen // the slot may be used again meanwhile
}

// written is told what came of handing use gen to nats.go. It returns nil if
// the outcome is still to come, from a reply or after another sending.
func (s *slot) written(gen uint32, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == slotFree || s.gen != gen {
		return nil // it has ended meanwhile
	}
	s.writing = false
	switch {
	case errors.Is(cause, nats.ErrReconnectBufExceeded): // nothing was written
		s.state, s.retryAt = slotWaiting, time.Time{}
		s.copies--
		return nil
	case cause == nil && (!s.lost || s.state != slotSent):
		return nil
	case cause == nil:
		return s.interrupted()
	case !s.repeatable():
		return fmt.Errorf("%w: %w", cause, ErrUnknown)
	}
	s.state, s.retryAt = slotWaiting, time.Now().Add(resendWait)
	return nil
}

// interrupted decides about a message that was sent on a connection which was
// lost before an answer came: see Publish.
func (s *slot) interrupted() error {
	if !s.repeatable() {
		return fmt.Errorf("the connection was lost: %w", ErrUnknown)
	}
	s.state, s.retryAt = slotWaiting, time.Time{}
	return nil
}

// end empties the slot.
func (s *slot) end(ack *PubAck) (func(PubAck, error), string) {
	ack.Resent = s.copies > 1
	done, subject := s.done, s.msg.Subject
	s.state, s.done, s.msg = slotFree, nil, nats.Msg{}
	return done, subject
}

// expired is the outcome of a message whose time is over.
func (s *slot) expired(timeout time.Duration) error {
	switch {
	case s.copies == 0 && s.refused > 0:
		return ErrNoStream
	case s.copies == 0:
		return fmt.Errorf("%w within %s: the message was not sent", ErrDisconnected, timeout)
	case s.strange:
		return fmt.Errorf("%w: %w: something answered on this subject, and it was no stream", context.DeadlineExceeded, ErrUnknown)
	}
	return fmt.Errorf("%w: no confirmation: %w", context.DeadlineExceeded, ErrUnknown)
}

// abandoned is the outcome of a message that nobody waits for any longer.
func (s *slot) abandoned() error {
	if s.copies == 0 {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, ErrUnknown)
}

// size is what counts against the server's limit in use gen: payload and headers.
func (s *slot) size(gen uint32) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == slotFree || s.gen != gen {
		return 0 // it has ended meanwhile, and nobody is told
	}
	return len(s.msg.Data) + max(headerSize(s.msg.Header), fieldsSize(s.fields))
}

// repeatable reports that a second copy of the message would be dropped by the
// stream.
func (s *slot) repeatable() bool {
	return first(s.msg.Header, semconv.NatsMsgID) != "" || firstField(s.fields, semconv.NatsMsgID) != ""
}

// noResponders is told that nobody listens on the subject: the copy is not
// stored. There may be no stream, or one without a leader for the moment.
func (p *Publisher) noResponders(i, gen uint32) {
	s := p.slots.at(i)
	s.mu.Lock()
	if s.state != slotSent || s.gen != gen {
		s.mu.Unlock()
		return
	}
	s.refused++
	s.copies--
	if s.refused < noStreamTries {
		s.state, s.retryAt = slotWaiting, time.Now().Add(noStreamWait)
		s.mu.Unlock()
		return
	}
	err := ErrNoStream
	if s.copies > 0 { // one that was sent before, and is not accounted for
		err = fmt.Errorf("%w: %w", ErrNoStream, ErrUnknown)
	}
	s.mu.Unlock()
	p.finish(i, gen, PubAck{}, err)
}

// sweep ends what is over and sends what waits, until the Publisher is closed.
func (p *Publisher) sweep() {
	defer close(p.swept)
	tick := time.NewTicker(min(max(p.timeout/20, 5*time.Millisecond), 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-p.kick:
		case <-tick.C:
		}
		if p.room.used() == 0 {
			continue
		}
		connected := p.bus.publish.nc.IsConnected()
		now := time.Now()
		p.each(func(_ uint32, s *slot) (bool, error) {
			if now.Before(s.deadline) {
				return false, nil
			}
			// A process that was stopped for a while, with its machine perhaps,
			// finds everything overdue, and the confirmations unread. The next
			// sweep comes after they were read.
			if !s.overdue {
				s.overdue = true
				return false, nil
			}
			return true, s.expired(p.timeout)
		})
		if connected {
			p.resendDue(now)
		}
	}
}

// each asks f about every used slot, under its lock, and ends those for which f
// says so.
func (p *Publisher) each(f func(i uint32, s *slot) (bool, error)) {
	p.slots.each(func(i uint32, s *slot) {
		s.mu.Lock()
		var over bool
		var err error
		gen := s.gen
		if s.state != slotFree {
			over, err = f(i, s)
		}
		s.mu.Unlock()
		if over {
			p.finish(i, gen, PubAck{}, err)
		}
	})
}

func (p *Publisher) resendDue(now time.Time) {
	p.slots.each(func(i uint32, s *slot) {
		s.mu.Lock()
		if s.state != slotWaiting || now.Before(s.retryAt) {
			s.mu.Unlock()
			return
		}
		out, fields, gen := s.resend(p, i)
		s.mu.Unlock()
		p.sent(i, gen, p.write(out, fields))
	})
}

// connLost decides about what was sent and not answered. A message that is just
// being handed to nats.go may have missed the connection altogether: it is
// decided about when that has returned.
func (p *Publisher) connLost() {
	p.each(func(_ uint32, s *slot) (bool, error) {
		if s.state != slotSent {
			return false, nil
		}
		if s.writing {
			s.lost = true
			return false, nil
		}
		err := s.interrupted()
		return err != nil, err
	})
}

func (p *Publisher) connBack() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

func (p *Publisher) connClosed() {
	p.each(func(_ uint32, s *slot) (bool, error) {
		return true, s.abandoned()
	})
}

// connError hears of denied publishes: the server sends no reply to them.
func (p *Publisher) connError(err error) {
	subject, ok := deniedSubject(err)
	if !ok {
		return
	}
	p.each(func(_ uint32, s *slot) (bool, error) {
		if s.state != slotSent || s.msg.Subject != subject {
			return false, nil
		}
		return true, mayNotPublish(subject, err)
	})
}

// wireSize is what counts against the server's limit: payload and headers.
func wireSize(m *nats.Msg) int {
	return len(m.Data) + headerSize(m.Header)
}

// headerFrame is what nats.go writes around headers.
const headerFrame = len("NATS/1.0\r\n") + len("\r\n")

// headerSize is the number of bytes that nats.go writes for h.
func headerSize(h nats.Header) int {
	if len(h) == 0 {
		return 0
	}
	n := headerFrame
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v) + len(": \r\n")
		}
	}
	return n
}
