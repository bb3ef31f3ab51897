package bus

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// limits are what a consumer allows in one pull request, as far as it has told.
type limits struct {
	batch              int // 0: no limit
	bytes              int // 0: no limit
	expires, heartbeat time.Duration
}

// body is a pull request's payload.
func (l limits) body(n, maxBytes int) []byte {
	b := append(make([]byte, 0, 96), `{"batch":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, `,"expires":`...)
	b = strconv.AppendInt(b, int64(l.expires), 10)
	if maxBytes > 0 {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, int64(maxBytes), 10)
	}
	b = append(b, `,"idle_heartbeat":`...)
	b = strconv.AppendInt(b, int64(l.heartbeat), 10)
	return append(b, '}')
}

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
