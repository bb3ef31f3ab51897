package memory

import (
	"container/heap"
	"container/list"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ergon-framework/ergon"
)

// Source is one consumer of a [Queue].
type Source struct {
	q      *Queue
	ready  chan struct{}
	behind bool // under the queue's lock, as closed
	closed bool
}

var (
	_ ergon.Source     = (*Source)(nil)
	_ ergon.Readier    = (*Source)(nil)
	_ ergon.Backlogger = (*Source)(nil)
)

// Fetch waits for a message. It returns ergon.ErrDrained when the queue has none
// at all: none ready, none leased to anybody, none whose time is to come.
func (s *Source) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	q := s.q
	if answer := ask(q.options.OnFetch, max); answer.Err != nil {
		return nil, answer.Err
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		deliveries, wait, err := s.take(max)
		if wait == nil {
			return deliveries, err
		}
		wait(ctx)
	}
}

// take returns what a Fetch returns now, or what it has to wait for.
func (s *Source) take(max int) (deliveries []ergon.Delivery, wait func(context.Context), err error) {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.tick(now)
	switch n := min(max, len(q.ready)); {
	case s.closed:
		return nil, nil, ergon.ErrClosed
	case n > 0:
		deliveries = make([]ergon.Delivery, n)
		for i, m := range q.ready[:n] {
			deliveries[i] = q.deliver(m, now)
		}
		clear(q.ready[:n])
		q.ready = q.ready[n:]
	case q.leased.Len() == 0 && len(q.later) == 0:
		err = ergon.ErrDrained
	default:
		q.waiting++
		changed := q.changed
		next, timed := q.next()
		return nil, func(ctx context.Context) { waitFor(ctx, changed, next, timed) }, nil
	}
	if s.behind = len(q.ready) > 0; !s.behind {
		select {
		case <-s.ready: // of what is no longer there
		default:
		}
	}
	return deliveries, nil, err
}

func waitFor(ctx context.Context, changed <-chan struct{}, next time.Time, timed bool) {
	var due <-chan time.Time
	if timed {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-changed:
	case <-due:
	case <-ctx.Done():
	}
}

// Ready receives when there is something to fetch.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Backlog reports whether the latest Fetch left something.
func (s *Source) Backlog() bool {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return s.behind
}

// Close ends this consumer; the queue and its other consumers go on. A delivery
// that was never settled comes back when its lease ends, or by Queue.Expire.
func (s *Source) Close(context.Context) error {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	s.closed = true
	s.q.wake()
	return nil
}

// delivery is one message leased to somebody.
type delivery struct {
	q       *Queue
	m       *message
	info    ergon.DeliveryInfo
	expires time.Time
	place   *list.Element // among the leased; nil once the lease is over
}

var (
	_ ergon.Delivery      = (*delivery)(nil)
	_ ergon.StartRecorder = (*delivery)(nil)
)

// deliver leases a message. The caller holds the lock.
func (q *Queue) deliver(m *message, now time.Time) *delivery {
	m.deliveries++
	if m.firstSeen.IsZero() {
		m.firstSeen = now.UTC()
	}
	d := &delivery{q: q, m: m, expires: now.Add(q.options.Lease), info: ergon.DeliveryInfo{
		Stored: strconv.Itoa(m.seq), Attempt: m.attempt, Deliveries: m.deliveries,
		Lease: q.options.Lease, FirstSeen: m.firstSeen, CanDefer: q.options.CanDefer,
		Crashes: m.starts,
	}}
	d.place = q.leased.PushBack(d)
	return d
}

// Transaction is what was pushed.
func (d *delivery) Transaction() ergon.Raw { return d.m.tx }

// Info says how it was delivered.
func (d *delivery) Info() ergon.DeliveryInfo { return d.info }

// RecordStart counts a start that has not ended.
func (d *delivery) RecordStart(context.Context) error { d.count(1); return nil }

// ForgetStart takes it back.
func (d *delivery) ForgetStart() { d.count(-1) }

func (d *delivery) count(n int) {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	d.m.starts += n
}

// Extend renews the lease, unless it has ended or was settled.
func (d *delivery) Extend(context.Context) error {
	if answer := ask(d.q.options.OnExtend, d.m.tx); answer.Err != nil {
		return answer.Err
	}
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	now := time.Now()
	if !d.held(now) {
		return ergon.ErrLeaseLost
	}
	d.expires = now.Add(d.q.options.Lease)
	d.q.leased.MoveToBack(d.place)
	return nil
}

// held reports whether the lease still stands. The caller holds the lock.
func (d *delivery) held(now time.Time) bool {
	d.q.tick(now)
	if d.place == nil {
		// What the tick made ready may be what somebody waits for.
		d.q.wake()
	}
	return d.place != nil
}

// Settle ends the delivery. It fails with ergon.ErrLeaseLost once the lease is
// gone: the message is somebody else's then.
func (d *delivery) Settle(s ergon.Settlement, done func(error)) {
	settled := Settled{Transaction: d.m.tx, Info: d.info, Settlement: s}
	answer := ask(d.q.options.OnSettle, settled)
	var err error
	if answer.carriedOut() {
		err = d.settle(settled)
	}
	answer.give(done, err)
}

func (d *delivery) settle(how Settled) error {
	q, s := d.q, how.Settlement
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	switch {
	case !d.held(now):
		return ergon.ErrLeaseLost
	case s.Kind == ergon.Retry && !q.options.CanDefer:
		return fmt.Errorf("settle %q: this queue does not take %v", d.m.tx.ID(), s.Kind)
	case s.Kind < ergon.Ack || s.Kind > ergon.Release:
		return fmt.Errorf("settle %q: %v is not a way to settle", d.m.tx.ID(), s.Kind)
	}
	q.free(d)
	switch s.Kind {
	case ergon.Ack:
		if !q.options.Discard {
			q.acked = append(q.acked, d.m.tx)
		}
	case ergon.Dead:
		q.dead = append(q.dead, how)
	case ergon.Retry:
		// What is parked is another stored message: the first one is done with.
		m := q.message(d.m.tx)
		m.attempt, m.firstSeen = s.NextAttempt, d.m.firstSeen
		q.put(m, now, s.After)
	case ergon.Release:
		q.put(d.m, now, s.After)
	}
	q.wake()
	return nil
}

// put stores a message for later. The caller holds the lock.
func (q *Queue) put(m *message, now time.Time, after time.Duration) {
	if after <= 0 {
		q.ready = append(q.ready, m)
		return
	}
	m.due = now.Add(after)
	heap.Push(&q.later, m)
}
