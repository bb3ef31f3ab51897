package memory

import (
	"container/heap"
	"container/list"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// QueueOptions are the properties of a queue, and the hooks by which a test makes
// its calls fail. The zero value is a queue whose leases never end. A hook may
// return an [Answer]; it is called from many goroutines at once and may use the
// queue.
type QueueOptions struct {
	// Lease is how long a delivery is held without being extended. 0 is for ever.
	Lease time.Duration
	// CanDefer says that the queue takes a Retry settlement.
	CanDefer bool
	// Discard forgets what was acknowledged, so that Acked is empty. It is for
	// measurements.
	Discard bool

	// OnFetch is asked before each Fetch; its error is the fetch's.
	OnFetch func(max int) error
	// OnSettle is asked before each settlement; with its error nothing is settled,
	// unless it is an Answer that says so.
	OnSettle func(Settled) error
	// OnExtend is asked before each extension of a lease; with its error nothing is
	// extended.
	OnExtend func(tx ergon.Raw) error
}

// Settled is one settlement of one delivery.
type Settled struct {
	Transaction ergon.Raw
	Info        ergon.DeliveryInfo
	Settlement  ergon.Settlement
}

// Queue stores transactions until they are settled. It is safe for concurrent
// use. Make one with NewQueue.
type Queue struct {
	options QueueOptions

	mu      sync.Mutex
	seq     int
	ready   []*message
	later   byDue
	leased  list.List // of *delivery; all leases are equally long, so the first ends first
	dead    []Settled
	acked   []ergon.Raw
	changed chan struct{} // closed when something changed for a Fetch that waits
	waiting int           // Fetches that wait on it
	sources []*Source
}

// message is one stored message. Equal transactions that were pushed twice are
// two of them.
type message struct {
	starts     int // recorded and not forgotten
	seq        int
	tx         ergon.Raw
	attempt    int // its next one
	deliveries int
	firstSeen  time.Time
	due        time.Time
}

// NewQueue returns an empty queue.
func NewQueue(options QueueOptions) *Queue {
	return &Queue{options: options, changed: make(chan struct{})}
}

// Push stores transactions, each as a message of its own: the same ID twice is
// two messages. One without an ID is given the message's number.
func (q *Queue) Push(txs ...ergon.Raw) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, tx := range txs {
		m := q.message(tx)
		q.ready = append(q.ready, m)
	}
	q.wake()
}

// message numbers a transaction. The caller holds the lock.
func (q *Queue) message(tx ergon.Raw) *message {
	q.seq++
	if !tx.Valid() {
		e := tx.Envelope()
		e.ID = strconv.Itoa(q.seq)
		tx = ergon.Make(e, tx.Payload())
	}
	return &message{seq: q.seq, tx: tx, attempt: 1}
}

// Source returns a new consumer of the queue. Several share its messages, as
// processes share a durable.
func (q *Queue) Source() *Source {
	s := &Source{q: q, ready: make(chan struct{}, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sources = append(q.sources, s)
	if len(q.ready) > 0 {
		s.ready <- struct{}{}
	}
	return s
}

// Expire ends every lease now, as if all who hold a delivery had died: each
// message is delivered again.
func (q *Queue) Expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(func(*delivery) bool { return true })
	q.wake()
}

// Counts is how many messages a queue has, by what they wait for.
type Counts struct {
	Ready  int // for a Fetch
	Leased int // for their settlement
	Later  int // for their time: parked, or released with a delay
}

// Len is how many messages are stored and not done with.
func (c Counts) Len() int { return c.Ready + c.Leased + c.Later }

// Counts counts the messages.
func (q *Queue) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tick(time.Now())
	return Counts{Ready: len(q.ready), Leased: q.leased.Len(), Later: len(q.later)}
}

// DeadLetters are the dead letters, in the order in which they were stored.
func (q *Queue) DeadLetters() []Settled {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.dead)
}

// Acked are the transactions that were settled as done with, in that order.
func (q *Queue) Acked() []ergon.Raw {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.acked)
}

// tick makes ready what has come due and what nobody holds any more. The caller
// holds the lock.
func (q *Queue) tick(now time.Time) {
	if q.options.Lease > 0 {
		q.expire(func(d *delivery) bool { return !now.Before(d.expires) })
	}
	for len(q.later) > 0 && !now.Before(q.later[0].due) {
		q.ready = append(q.ready, heap.Pop(&q.later).(*message))
	}
}

// expire takes deliveries from the first on back, as long as ended says so.
func (q *Queue) expire(ended func(*delivery) bool) {
	for front := q.leased.Front(); front != nil; front = q.leased.Front() {
		d := front.Value.(*delivery)
		if !ended(d) {
			return
		}
		q.free(d)
		q.ready = append(q.ready, d.m)
	}
}

// free ends a delivery's lease.
func (q *Queue) free(d *delivery) {
	q.leased.Remove(d.place)
	d.place = nil
}

// next is when something changes by itself; false for never.
func (q *Queue) next() (time.Time, bool) {
	var next time.Time
	if front := q.leased.Front(); front != nil && q.options.Lease > 0 {
		next = front.Value.(*delivery).expires
	}
	if len(q.later) > 0 && (next.IsZero() || q.later[0].due.Before(next)) {
		next = q.later[0].due
	}
	return next, !next.IsZero()
}

// wake makes every Fetch that waits look again, and tells those that wait
// elsewhere. The caller holds the lock.
func (q *Queue) wake() {
	if q.waiting > 0 {
		close(q.changed)
		q.changed, q.waiting = make(chan struct{}), 0
	}
	if len(q.ready) == 0 {
		return
	}
	for _, s := range q.sources {
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
}

// byDue is a heap of messages whose time has not come.
type byDue []*message

func (h byDue) Len() int      { return len(h) }
func (h byDue) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h byDue) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h *byDue) Push(m any) { *h = append(*h, m.(*message)) }
func (h *byDue) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return m
}
