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
	era *era // in which it was taken, under the lock of slots

	mu       sync.Mutex // guards memory only: nothing is sent and done isn't called under it
	of       *Publisher // whose message it is
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
	s.of, s.state = p, slotSent
	s.msg = m
	s.msg.Reply = p.confirmer.replyTo(i, s.gen)
	s.fields = append(s.fields[:0], fields...) // for another sending: the caller keeps its own
	s.done, s.deadline = done, deadline
	s.retryAt, s.refused, s.copies, s.strange, s.overdue = time.Time{}, 0, 1, false, false
	s.writing, s.lost = true, false
	return s.msg.Reply, s.gen
}

// resend turns a waiting slot into a sent one and returns what to send.
func (s *slot) resend(c *confirmer, i uint32) (nats.Msg, []Field, uint32) {
	s.gen++
	s.state = slotSent
	s.copies++
	s.writing, s.lost = true, false
	s.msg.Reply = c.replyTo(i, s.gen)
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
func (s *slot) end(ack *PubAck) (p *Publisher, done func(PubAck, error), subject string) {
	ack.Resent = s.copies > 1
	p, done, subject = s.of, s.done, s.msg.Subject
	s.of, s.state, s.done, s.msg = nil, slotFree, nil, nats.Msg{}
	return p, done, subject
}

// expired is the outcome of a message whose time is over.
func (s *slot) expired() error {
	switch {
	case s.copies == 0 && s.refused > 0:
		return ErrNoStream
	case s.copies == 0:
		return fmt.Errorf("%w within %s: the message was not sent", ErrDisconnected, s.of.timeout)
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
