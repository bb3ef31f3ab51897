package memory_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/connectortest"
	"github.com/ergon-framework/ergon/connectors/memory"
)

// A queue and a sink in front of it are a connector like any other; what they can't
// do is to lose a connection.
func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		New: newTransport, Virtual: true,
		Features: []connectortest.Feature{
			connectortest.Persistent, connectortest.Shared, connectortest.Ordered, connectortest.Redelivers,
			connectortest.CountsDeliveries, connectortest.Leases, connectortest.Defers, connectortest.DeadLetters,
			connectortest.Drains, connectortest.Deduplicates, connectortest.Plain, connectortest.MultiValue,
			connectortest.CountsUnacked, connectortest.RecordsStarts,
		},
	})
}

func newTransport(_ testing.TB, lease time.Duration) connectortest.Transport {
	q := memory.NewQueue(memory.QueueOptions{Lease: lease, CanDefer: true})
	return connectortest.Transport{
		Source: func(testing.TB) ergon.Source { return q.Source() },
		Sink:   func(testing.TB) ergon.Sink { return &feeder{Sink: memory.NewSink(memory.SinkOptions{}), q: q} },
		Publish: func(_ testing.TB, m connectortest.Message) {
			var e ergon.Envelope
			for name, values := range m.Header {
				for _, v := range values {
					ergon.WithMetadata(name, v)(&e)
				}
			}
			q.Push(ergon.Make(e, m.Payload))
		},
		DeadLetters: func(testing.TB) (letters []connectortest.DeadLetter) {
			for _, l := range q.DeadLetters() {
				letters = append(letters, connectortest.DeadLetter{
					Payload: l.Transaction.Payload(), Reason: l.Settlement.Err.Reason(),
				})
			}
			return letters
		},
		Unacked: func(testing.TB) int { return q.Counts().Leased },
	}
}

// feeder pushes into a queue what its sink stores and has not stored before.
type feeder struct {
	*memory.Sink
	q *memory.Queue

	mu sync.Mutex // one send at a time: the sink tells of duplicates by counting them
}

func (f *feeder) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	err := errors.New("not confirmed")
	f.mu.Lock()
	before := f.Duplicates()
	f.Sink.Send(ctx, tx, func(e error) { err = e })
	if err == nil && f.Duplicates() == before {
		f.q.Push(tx)
	}
	f.mu.Unlock()
	done(err)
}
