package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// handBackDelay is the delay by which what was not fetched is redelivered:
// small, because another instance may be waiting, and not 0, because then the
// server would use its own schedule.
const handBackDelay = 10 * time.Millisecond

// Stop ends asking. What was delivered can still be fetched; after that Fetch
// returns [ErrClosed]. What the server still delivers for requests that are
// open is handed back by Close.
func (p *Puller) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.signal()
}

// Close stops asking, ends the subscription in such a way that nothing on its
// way is lost, and hands back what was delivered and not fetched, so that
// another instance gets it at once instead of when its ack deadline passes.
// It also ends a Fetch that runs. Messages that were fetched are their
// fetcher's to settle, before or after.
//
// ctx bounds the waiting; when it ends, or the connection is down and there was something
// to hand back, the error says so, and what was not handed back is redelivered after its
// ack deadline.
// Close again does nothing more, waits for the first to end, and returns nil.
func (p *Puller) Close(ctx context.Context) error {
	var err error
	p.closing.Do(func() {
		err = p.close(ctx)
		close(p.done)
	})
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	return err
}

func (p *Puller) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed, p.stopped = true, true
	p.signal()
	p.mu.Unlock()

	p.fetching.Lock() // the Fetch that ran has returned, and none begins anything now
	defer p.fetching.Unlock()
	p.bus.consume.unwatch(p)
	p.timer.Stop()

	p.mu.Lock()
	sub := p.sub
	p.sub = nil
	p.mu.Unlock()
	n, err := p.handBack()
	away := !p.bus.consume.nc.IsConnected()
	if err == nil && away && (n > 0 || p.bus.consume.nc.IsClosed()) {
		err = ErrDisconnected
	}
	switch {
	case sub == nil:
	case away: // the server has forgotten the requests, and draining would leave something to send
		if uerr := sub.Unsubscribe(); uerr != nil {
			p.log.Debug("end pull subscription", "error", uerr)
		}
	default:
		// Requests may be open at the server. It stops serving them when it
		// learns that nobody listens; until then it delivers, and draining keeps
		// that for us. When a subscription ends, its last message has been seen.
		if derr := sub.Drain(); derr != nil {
			p.log.Debug("drain pull subscription", "error", derr)
		}
	}
	for p.open() > 0 && err == nil && !away { // else nothing is on its way
		select {
		case <-p.wake:
		case <-p.bus.consume.ended: // then no subscription is left to say so
			err = ErrClosed
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	late, herr := p.handBack()
	if err == nil {
		err = herr
	}
	if n+late > 0 {
		p.log.Debug("handed back what was not fetched", "messages", n+late)
		if ferr := p.bus.consume.flush(ctx); err == nil {
			err = ferr
		}
	}
	if err != nil {
		return fmt.Errorf("close puller of consumer %q: what was not handed back is redelivered after its ack deadline: %w",
			p.cfg.Durable, err)
	}
	return nil
}

// handBack naks everything in the buffer and says how many those were.
func (p *Puller) handBack() (int, error) {
	p.mu.Lock()
	msgs := p.buf.take(p.buf.len(), nil)
	p.mu.Unlock()
	return len(msgs), nakAll(msgs)
}

func nakAll(msgs []*nats.Msg) error {
	for i, m := range msgs {
		if err := Nak(m, handBackDelay); err != nil {
			return fmt.Errorf("%d messages: %w", len(msgs)-i, err)
		}
	}
	return nil
}

func (p *Puller) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *Puller) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.subs
}

// subscriptionEnded is called when the last message of a subscription has been
// handled.
func (p *Puller) subscriptionEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs--
	p.signal()
}
