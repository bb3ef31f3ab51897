package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Defaults of a PublisherConfig.
const (
	DefaultWindow         = 1024
	DefaultPublishTimeout = 5 * time.Second
)

// A PublisherConfig sets a Publisher's bounds.
type PublisherConfig struct {
	// Window is how many messages may await their confirmation at a time.
	// Default 1024.
	Window int
	// Timeout is how long one message is tried for and its confirmation waited
	// for. Default 5 s.
	Timeout time.Duration
}

// A PubAck is a stream's confirmation that it stored a message.
type PubAck struct {
	// Sequence is the message's place in the stream; for a duplicate, that of
	// the copy which the stream had.
	Sequence uint64
	// Duplicate reports that the stream had a message with this Nats-Msg-Id and
	// dropped this one.
	Duplicate bool
	// Resent reports that the Publisher sent the message more than once. Then a
	// duplicate is, most likely, its own first copy.
	Resent bool

	raw []byte
}

// Stream is the name of the stream. It is read out of the confirmation when
// asked for.
func (a PubAck) Stream() string { return ackStream(a.raw) }

// From reports whether it is that stream's. It costs a comparison, where
// Nats-Expected-Stream costs a header in every message that is stored.
func (a PubAck) From(stream string) bool { return ackFrom(a.raw, stream) }

// A Publisher publishes messages and reports, for each, whether a stream has
// stored it. It costs no map entry, no future, no goroutine and no decoding of
// JSON per message: a message occupies a slot, whose number is in the reply subject, and
// at most Window slots are a Publisher's at a time.
//
// All methods may be called concurrently.
type Publisher struct {
	confirmer *confirmer
	timeout   time.Duration
	wires     sync.Pool // of *wire
	room      *room

	shut atomic.Bool // begin nothing any more
	once sync.Once
	done chan struct{} // Close has ended
}

// NewPublisher makes a Publisher. The first one of a Bus starts what all of them share,
// which ends with the Bus; of one that is closed it returns [ErrClosed]. Its maker closes it.
func (b *Bus) NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultPublishTimeout
	}
	if cfg.Window < 1 || cfg.Window > 1<<20 || cfg.Timeout < 0 {
		return nil, fmt.Errorf("new publisher: window %d must be 1 to %d, and timeout %s above 0", cfg.Window, 1<<20, cfg.Timeout)
	}
	c, err := b.confirming()
	if err != nil {
		return nil, fmt.Errorf("new publisher: %w", err)
	}
	p := &Publisher{confirmer: c, timeout: cfg.Timeout, room: newRoom(&c.slots, cfg.Window), done: make(chan struct{})}
	c.join(p)
	return p, nil
}

// Bus is where it publishes.
func (p *Publisher) Bus() *Bus { return p.confirmer.bus }

// Publish sends m to the stream that stores its subject and returns; done is
// then called exactly once, from any goroutine, possibly before Publish
// returns. A nil error means that the stream has stored m, or had it already.
// The other outcomes are the errors of this package that speak of publishing,
// [*APIError], nats.go's for a message that cannot be sent, and ctx's;
// [Permanent] tells which of them would come again.
//
// While the window is full Publish waits, until ctx ends or the Publisher is
// closed. So done must not call it, on no Publisher of the Bus: the goroutine that calls
// done is often the only one that can free a slot. For the same reason done must not block.
//
// After sending, the end of ctx changes nothing, except that its deadline, if
// it is before Timeout's, ends the waiting with [ErrUnknown].
//
// What is on its way when the connection is lost is sent again when it is back,
// if the message has a Nats-Msg-Id: the stream drops the second copy, and the
// caller need not spend an attempt on a server's restart. Without that header
// the outcome is ErrUnknown at once, since sending again might store it twice.
// While there is no connection, messages wait for one in their slots.
//
// m must not be changed until done is called. Its Reply is ignored.
func (p *Publisher) Publish(ctx context.Context, m *nats.Msg, done func(PubAck, error)) {
	p.publish(ctx, nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, nil, done)
}

// PublishFields is Publish for one who makes the message here and now: its headers
// are copied into memory that is used again for the next message, so they cost no
// map. Fields of one name stand together. data must not be changed until done is
// called.
func (p *Publisher) PublishFields(ctx context.Context, subject string, fields []Field, data []byte, done func(PubAck, error)) {
	p.publish(ctx, nats.Msg{Subject: subject, Data: data}, fields, done)
}

// fields are apart from m, so that the caller's array of them may stay on its stack.
func (p *Publisher) publish(ctx context.Context, m nats.Msg, fields []Field, done func(PubAck, error)) {
	if err := ctx.Err(); err != nil {
		done(PubAck{}, publishError(m.Subject, err))
		return
	}
	i, err := p.room.take(ctx)
	if err != nil {
		done(PubAck{}, publishError(m.Subject, err))
		return
	}
	deadline := time.Now().Add(p.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	s := p.confirmer.slots.at(uint64(i))
	s.mu.Lock()
	if p.shut.Load() { // read under the lock: Close fails what it finds in the slots after setting it
		s.mu.Unlock()
		p.room.put(i)
		done(PubAck{}, publishError(m.Subject, ErrClosed))
		return
	}
	var gen uint32
	m.Reply, gen = s.begin(p, i, m, fields, deadline, done)
	s.mu.Unlock()
	p.confirmer.sent(i, gen, p.write(m, fields))
}

func publishError(subject string, err error) error {
	var api *APIError
	if errors.As(err, &api) {
		api.Subject = subject
		return fmt.Errorf("publish: %w", err)
	}
	return fmt.Errorf("publish to %q: %w", subject, err)
}
