package http

import (
	"context"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
)

// pending is a request that waits for its answer. What may change is under its source's
// lock; reply is read once done is closed.
type pending struct {
	s      *Source
	tx     ergon.Raw
	owner  string
	keyed  bool
	stored string
	done   chan struct{} // closed when it is ended
	reply  reply

	state      pendingState
	deadline   time.Time // after which it is not begun, if nobody waits
	waiting    int       // callers
	deliveries int
	firstSeen  time.Time
	timer      *time.Timer // until it is queued again
}

type pendingState int

const (
	queued pendingState = iota + 1
	held
	later
	ended
)

// hand makes a delivery. The caller holds the lock.
func (p *pending) hand(now time.Time) *delivery {
	p.state = held
	p.s.held++
	p.deliveries++
	if p.firstSeen.IsZero() {
		p.firstSeen = now.UTC()
	}
	return &delivery{p: p, info: ergon.DeliveryInfo{
		Stored: p.stored, Attempt: 1, Deliveries: p.deliveries, FirstSeen: p.firstSeen,
	}}
}

// delivery is a request that an engine has. It has it for ever: it is in the same process.
type delivery struct {
	p    *pending
	info ergon.DeliveryInfo
}

var _ ergon.Delivery = (*delivery)(nil)

// Transaction is what was sent.
func (d *delivery) Transaction() ergon.Raw { return d.p.tx }

// Info says how it was delivered.
func (d *delivery) Info() ergon.DeliveryInfo { return d.info }

// Extend says whether the engine still has it.
func (d *delivery) Extend(context.Context) error {
	d.p.s.mu.Lock()
	defer d.p.s.mu.Unlock()
	if !d.holds() {
		return ergon.ErrLeaseLost
	}
	return nil
}

// holds is whether this is the delivery that counts. The caller holds the lock.
func (d *delivery) holds() bool { return d.p.state == held && d.p.deliveries == d.info.Deliveries }

// Settle answers the request, or queues it again.
func (d *delivery) Settle(s ergon.Settlement, done func(error)) { done(d.settle(s)) }

func (d *delivery) settle(s ergon.Settlement) error {
	p := d.p
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if !d.holds() {
		return ergon.ErrLeaseLost
	}
	switch s.Kind {
	case ergon.Ack:
		p.s.end(p, reply{outputs: s.Reply})
	case ergon.Dead:
		p.s.end(p, reply{problem: problemOf(p.tx.ID(), s.Err)})
	case ergon.Release:
		p.release(s.After)
	default:
		return fmt.Errorf("settle %q: requests over HTTP can't be settled with %v", p.tx.ID(), s.Kind)
	}
	return nil
}

// release queues it again, at the earliest after a delay. The caller holds the lock.
func (p *pending) release(after time.Duration) {
	s := p.s
	s.held--
	if after <= 0 {
		s.push(p)
		return
	}
	p.state = later
	s.later++
	p.timer = time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p.state == later { // and not ended meanwhile
			s.later--
			s.push(p)
		}
	})
}
