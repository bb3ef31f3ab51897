package memory

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// SinkOptions are the properties of a sink, and the hook by which a test makes
// its sends fail. The zero value stores and confirms at once.
type SinkOptions struct {
	// Delay is how long a confirmation takes. A send whose context ends before is
	// answered with the context's error, and stored all the same: its confirmation
	// was on the way.
	Delay time.Duration
	// OnSend is asked before each send; with its error nothing is stored, unless it
	// is an Answer that says so. It is called from many goroutines at once and may
	// use the sink.
	OnSend func(tx ergon.Raw) error
	// Discard confirms what is sent and keeps nothing of it, so that All is empty and
	// a copy is not told from the first. It is for measurements.
	Discard bool
}

// Sink stores what it is sent, each identity once: a second transaction with the
// same source and ID is confirmed and counted, and not stored, as a bus does
// that drops duplicates. It is safe for concurrent use. Make one with NewSink.
type Sink struct {
	options SinkOptions

	mu         sync.Mutex
	stored     map[key]struct{}
	all        []ergon.Raw
	duplicates int
	pending    int           // sends that wait for their delay
	closed     chan struct{} // nil until Close; closed once nothing is pending
}

var _ ergon.Sink = (*Sink)(nil)

// NewSink returns an empty sink.
func NewSink(options SinkOptions) *Sink {
	return &Sink{options: options, stored: make(map[key]struct{})}
}

// Send stores tx and confirms it. With a context that has ended it does neither,
// and asks no hook.
func (s *Sink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	if err := ctx.Err(); err != nil {
		done(err)
		return
	}
	answer := ask(s.options.OnSend, tx)
	if !s.enter(tx, answer.carriedOut()) {
		done(ergon.ErrClosed)
		return
	}
	if s.options.Delay <= 0 {
		answer.give(done, nil)
		s.leave()
		return
	}
	s.later(ctx, func(err error) {
		answer.give(done, err)
		s.leave()
	})
}

// later calls f once: with nil after the delay, or with ctx's error if that ends
// before.
func (s *Sink) later(ctx context.Context, f func(error)) {
	var once sync.Once
	stop := context.AfterFunc(ctx, func() { once.Do(func() { f(ctx.Err()) }) })
	time.AfterFunc(s.options.Delay, func() {
		stop()
		once.Do(func() { f(nil) })
	})
}

// enter stores tx if it is to be stored, and counts the send in, unless the sink
// is closed.
func (s *Sink) enter(tx ergon.Raw, store bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return false
	}
	s.pending++
	if !store || s.options.Discard {
		return true
	}
	if _, again := s.stored[keyOf(tx)]; again {
		s.duplicates++
		return true
	}
	s.stored[keyOf(tx)] = struct{}{}
	s.all = append(s.all, tx)
	return true
}

func (s *Sink) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending--; s.pending == 0 && s.closed != nil {
		close(s.closed)
	}
}

// All is what is stored, in the order in which it came.
func (s *Sink) All() []ergon.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// Duplicates is how many sends were dropped because their identity was stored.
func (s *Sink) Duplicates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.duplicates
}

// Close waits for the sends that are on their way, until ctx ends. What was
// stored can still be read.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed == nil {
		s.closed = make(chan struct{})
		if s.pending == 0 {
			close(s.closed)
		}
	}
	closed := s.closed
	s.mu.Unlock()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
