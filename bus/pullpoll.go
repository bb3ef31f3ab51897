package bus

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// Poll is a Fetch that does not wait: it appends what is there, up to max, and
// asks for what there is room for. Nothing and nil means that nothing is there.
// Who polls does so at least every few seconds, and whenever Ready receives: that
// is also when lost requests are noticed and made again. The errors are Fetch's
// without [ErrDrained].
func (p *Puller) Poll(max int, into []*nats.Msg) ([]*nats.Msg, error) {
	if !p.fetching.TryLock() {
		if p.isClosed() {
			return into, p.fetchError(ErrClosed)
		}
		return into, p.fetchError(ErrConcurrentFetch)
	}
	defer p.fetching.Unlock()
	p.mu.Lock()
	p.max, p.polled, p.resume = max, true, false
	p.mu.Unlock()
	for {
		step, out := p.advance(max, into, &p.polling)
		into = out
		if step.renew {
			if err := p.renew(); err != nil {
				return into, p.fetchError(err)
			}
			continue
		}
		p.send(step.ask)
		p.lookUp(step.lookup)
		switch {
		case step.answer != nil:
			if err := p.judge(step.answer); err != nil && !errors.Is(err, ErrDrained) {
				return into, p.fetchError(err)
			}
			continue
		case step.err != nil:
			return into, p.fetchError(step.err)
		case step.taken:
			p.extend(step.extend, into)
		}
		p.rest()
		return into, nil
	}
}

// Expired is how many messages were dropped because they had waited here,
// unfetched, until their leases were over.
func (p *Puller) Expired() int64 { return p.expired.Load() }

// dropExpired forgets what is somebody else's by now, or will be in a moment. Run,
// it would be run twice; handed back, it would be taken from whoever has it.
func (p *Puller) dropExpired() {
	if p.cfg.Lease <= 0 {
		return
	}
	over := time.Now().Add(-p.cfg.Lease + p.cfg.Lease/8)
	n := 0
	for n < p.buf.len() && p.buf.items[p.buf.head+n].at.Before(over) {
		n++
	}
	if n > 0 {
		p.buf.take(n, nil)
		p.expired.Add(int64(n))
		p.log.Warn("dropped deliveries whose leases ran out before there was room for them: they come again", "messages", n)
	}
}

func (p *Puller) extend(old bool, msgs []*nats.Msg) {
	if !old {
		return
	}
	for _, m := range msgs {
		if err := InProgress(m); err != nil {
			p.log.Debug("extend what waited to be fetched", "error", err)
			return
		}
	}
}

// A Progress tells a Puller that has nothing to do from one that gets nothing.
type Progress struct {
	// Came is how many messages have come so far.
	Came uint64
	// Asked is how many more are asked for now.
	Asked int
	// Refused is what the server said to the latest request, if it took none.
	Refused string
}

// Progress is how far the Puller has come.
func (p *Puller) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := Progress{Came: p.came, Asked: p.pending}
	if p.refusals > 0 {
		at.Refused = p.refusal
	}
	return at
}

// SetAhead allows n more to be asked for, or to wait here, than the latest Fetch
// had room for: with no request open while what it returned is worked on, the
// server would stand still for as long. 0, as at the beginning, allows none.
func (p *Puller) SetAhead(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = max(n, 0)
}

// SetLease follows a consumer whose ack deadline was changed: see
// [PullConfig.Lease].
func (p *Puller) SetLease(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Lease = d
}
