package bus

import "github.com/nats-io/nats.go"

// A queue is a FIFO of messages that reuses its memory.
type queue struct {
	items []*nats.Msg
	head  int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(m *nats.Msg) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, m)
}

func (q *queue) take(n int, into []*nats.Msg) []*nats.Msg {
	taken := q.items[q.head : q.head+n]
	into = append(into, taken...)
	clear(taken) // a message's memory is not held for longer than its user holds it
	q.head += n
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return into
}
