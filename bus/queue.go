package bus

import (
	"time"

	"github.com/nats-io/nats.go"
)

// A queue is a FIFO of messages, with the times at which they came, that reuses
// its memory.
type queue struct {
	items []arrival
	head  int
}

type arrival struct {
	m  *nats.Msg
	at time.Time
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(m *nats.Msg, at time.Time) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, arrival{m, at})
}

// oldest is when the first one came.
func (q *queue) oldest() time.Time { return q.items[q.head].at }

func (q *queue) take(n int, into []*nats.Msg) []*nats.Msg {
	taken := q.items[q.head : q.head+n]
	for i := range taken {
		into = append(into, taken[i].m)
	}
	clear(taken) // a message's memory is not held for longer than its user holds it
	q.head += n
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return into
}
