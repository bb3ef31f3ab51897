package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A confirmer is what all Publishers of a Bus share: the subscription on which
// confirmations come, the slots of what waits for one, and the goroutine that looks after
// what gets none. With a subscription each, a process with a hundred tasks would have a
// hundred goroutines that are woken for a confirmation or two, and a hundred sweepers.
//
// One goroutine, nats.go's for the subscription, calls all dones of messages that a stream
// answered. So one that waits for another message's would wait for ever, whoever's that
// is.
type confirmer struct {
	bus    *Bus
	prefix string // of reply subjects, with its trailing dot
	slots  slots

	mu   sync.Mutex // guards open
	open map[*Publisher]struct{}

	joined chan struct{} // by one that may want the sweeper to look more often
	kick   chan struct{} // the sweeper is to look now
	stop   chan struct{} // the sweeper is to end
	swept  chan struct{} // it has
}

// confirming returns the Bus's confirmer, and makes it for the first Publisher. It ends
// with the Bus.
func (b *Bus) confirming() (*confirmer, error) {
	b.confirmerMu.Lock()
	defer b.confirmerMu.Unlock()
	nc := b.publish.nc
	if c := b.confirmer; c != nil {
		if nc.IsClosed() {
			return nil, subscribeError(nats.ErrConnectionClosed)
		}
		return c, nil
	}
	c := &confirmer{
		bus:    b,
		prefix: nc.NewInbox() + ".",
		open:   make(map[*Publisher]struct{}),
		joined: make(chan struct{}, 1),
		kick:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		swept:  make(chan struct{}),
	}
	sub, err := nc.Subscribe(c.prefix+"*.*", c.receive)
	if err != nil {
		return nil, subscribeError(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the windows bound it
		return nil, subscribeError(err)
	}
	b.publish.watch(c)
	go c.sweep()
	b.confirmer = c
	return c, nil
}

// endConfirmer ends the sweeper, once the connection is closed.
func (b *Bus) endConfirmer() {
	b.confirmerMu.Lock()
	c := b.confirmer
	b.confirmerMu.Unlock() // the sweeper may be in a done, which must find it free
	if c != nil {
		close(c.stop)
		<-c.swept
	}
}

// join counts a Publisher as open, leave no longer.
func (c *confirmer) join(p *Publisher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[p] = struct{}{}
	signal(c.joined)
}

func (c *confirmer) leave(p *Publisher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, p)
}

// signal leaves one word for who listens.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// receive is nats.go's callback for replies: a confirmation, a refusal, or the
// server's word that nobody listens.
func (c *confirmer) receive(m *nats.Msg) {
	slotPart, genPart, _ := strings.Cut(m.Subject[min(len(c.prefix), len(m.Subject)):], ".")
	n, ok1 := parseUint(slotPart)
	g, ok2 := parseUint(genPart)
	if !ok1 || !ok2 || c.slots.at(n) == nil || g > 1<<32-1 {
		return
	}
	i, gen := uint32(n), uint32(g)
	if len(m.Data) == 0 {
		if first(m.Header, statusHeader) == "503" {
			c.noResponders(i, gen)
		}
		return
	}
	seq, duplicate, ok := parsePubAck(m.Data)
	if ok {
		c.finish(i, gen, PubAck{Sequence: seq, Duplicate: duplicate, raw: m.Data}, nil)
		return
	}
	if api := parseRefusal(m.Data); api != nil {
		c.finish(i, gen, PubAck{}, api)
		return
	}
	// Somebody else answers on this subject too. The stream's own word may
	// still come.
	s := c.slots.at(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == slotSent && s.gen == gen {
		s.strange = true
	}
}

// finish ends the use gen of slot i, unless it has ended. The slot is free only
// after done has returned, so that who flushes knows that nothing is being reported
// any more.
func (c *confirmer) finish(i, gen uint32, ack PubAck, err error) {
	s := c.slots.at(uint64(i))
	s.mu.Lock()
	if s.state == slotFree || s.gen != gen {
		s.mu.Unlock()
		return
	}
	p, done, subject := s.end(&ack)
	s.mu.Unlock()
	if err != nil {
		err = publishError(subject, err)
	}
	done(ack, err)
	p.room.put(i)
}

// sent deals with what PublishMsg returned for use gen of slot i.
func (c *confirmer) sent(i, gen uint32, err error) {
	s := c.slots.at(uint64(i))
	switch {
	case err == nil:
		err = s.written(gen, nil)
	case errors.Is(err, nats.ErrMaxPayload):
		err = fmt.Errorf("%w: %d bytes of payload with headers, the server takes %d",
			ErrTooLarge, s.size(gen), c.bus.publish.nc.MaxPayload())
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	case Permanent(err):
	default:
		err = s.written(gen, err)
	}
	if err != nil {
		c.finish(i, gen, PubAck{}, err)
	}
}

// noResponders is told that nobody listens on the subject: the copy is not
// stored. There may be no stream, or one without a leader for the moment.
func (c *confirmer) noResponders(i, gen uint32) {
	s := c.slots.at(uint64(i))
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
	c.finish(i, gen, PubAck{}, err)
}

// replyTo is the reply subject of one use of a slot. It is built for each: with
// one string per slot a second reply to an earlier use (from a stream in
// another account, say) would confirm a message that was never stored.
func (c *confirmer) replyTo(i, gen uint32) string {
	var buf [96]byte
	b := append(buf[:0], c.prefix...)
	b = strconv.AppendUint(b, uint64(i), 10)
	b = append(b, '.')
	return string(strconv.AppendUint(b, uint64(gen), 10))
}
