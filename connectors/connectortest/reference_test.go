package connectortest_test

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

// wiring is where a fault gets into the reference connector. What it wraps is wrapped
// once for each source, sink and delivery; a nil function changes nothing.
type wiring struct {
	q        *memory.Queue
	lease    time.Duration
	ctx      context.Context // ends with the part, before its cleanups
	source   func(ergon.Source) ergon.Source
	sink     func(ergon.Sink) ergon.Sink
	delivery func(ergon.Delivery) ergon.Delivery
	letter   func(connectortest.DeadLetter) connectortest.DeadLetter
	// held is the lease that the queue really has, if another one.
	held time.Duration
	// wasDown says that the connection was lost at some time.
	wasDown func() bool
	line    line
}

// reference makes a connector that can do everything, out of the memory connector
// and a connection that can be lost, with a fault in it.
func reference(fault func(*wiring)) connectortest.Harness {
	return connectortest.Harness{
		Features: connectortest.AllFeatures(), Virtual: true,
		New: func(t testing.TB, lease time.Duration) connectortest.Transport {
			w := &wiring{lease: lease, held: lease, ctx: t.Context()}
			w.wasDown = w.line.wasDown
			if fault != nil {
				fault(w)
			}
			w.q = memory.NewQueue(memory.QueueOptions{Lease: w.held, CanDefer: true})
			return w.transport()
		},
	}
}

func (w *wiring) transport() connectortest.Transport {
	return connectortest.Transport{
		Source: func(testing.TB) ergon.Source {
			var src ergon.Source = &lineSource{Source: w.q.Source(), w: w}
			if w.source != nil {
				src = w.source(src)
			}
			return src
		},
		Sink: func(testing.TB) ergon.Sink {
			var sink ergon.Sink = &lineSink{Sink: memory.NewSink(memory.SinkOptions{}), w: w}
			if w.sink != nil {
				sink = w.sink(sink)
			}
			return sink
		},
		Publish: func(_ testing.TB, m connectortest.Message) {
			var e ergon.Envelope
			for name, values := range m.Header {
				for _, v := range values {
					ergon.WithMetadata(name, v)(&e)
				}
			}
			w.q.Push(ergon.Make(e, m.Payload))
		},
		DeadLetters: func(testing.TB) (letters []connectortest.DeadLetter) {
			for _, l := range w.q.DeadLetters() {
				letter := connectortest.DeadLetter{Payload: l.Transaction.Payload(), Reason: l.Settlement.Err.Reason()}
				if w.letter != nil {
					letter = w.letter(letter)
				}
				letters = append(letters, letter)
			}
			return letters
		},
		Unacked: func(testing.TB) int { return w.q.Counts().Leased },
		Down:    func(testing.TB) { w.line.set(true) },
		Up:      func(testing.TB) { w.line.set(false) },
	}
}

// line is a connection that can be lost.
type line struct {
	mu   sync.Mutex
	up   chan struct{} // closed when it is back; nil while it stands
	once bool
}

var errDown = errors.New("no connection")

func (l *line) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if down {
		l.up, l.once = make(chan struct{}), true
	} else if l.up != nil {
		close(l.up)
		l.up = nil
	}
}

func (l *line) wasDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.once
}

func (l *line) down() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up
}

// lineSource waits for the connection and wraps its deliveries.
type lineSource struct {
	*memory.Source
	w *wiring
}

func (s *lineSource) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	if up := s.w.line.down(); up != nil {
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ds, err := s.Source.Fetch(ctx, max)
	for i, d := range ds {
		ds[i] = &lineDelivery{recorded{d}, s.w}
		if s.w.delivery != nil {
			ds[i] = s.w.delivery(ds[i])
		}
	}
	return ds, err
}

type lineDelivery struct {
	recorded
	w *wiring
}

// recorded is a delivery whose starts are recorded, however it is wrapped.
type recorded struct{ ergon.Delivery }

func (r recorded) RecordStart(ctx context.Context) error {
	return r.Delivery.(ergon.StartRecorder).RecordStart(ctx)
}

func (r recorded) ForgetStart() { r.Delivery.(ergon.StartRecorder).ForgetStart() }

func (d *lineDelivery) Settle(s ergon.Settlement, done func(error)) {
	if d.w.line.down() != nil {
		done(errDown)
		return
	}
	d.Delivery.Settle(s, done)
}

// lineSink pushes into the queue what its sink has not stored before.
type lineSink struct {
	*memory.Sink
	w  *wiring
	mu sync.Mutex
}

func (s *lineSink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	if s.w.line.down() != nil {
		done(errDown)
		return
	}
	err := errors.New("not confirmed")
	s.mu.Lock()
	before := s.Duplicates()
	s.Sink.Send(ctx, tx, func(e error) { err = e })
	if err == nil && s.Duplicates() == before {
		s.w.q.Push(tx)
	}
	s.mu.Unlock()
	done(err)
}
