package ergon

import (
	"context"
	"sync"
)

type blockingSink struct {
	f     func(context.Context, Raw) error
	slots chan struct{}

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

func newBlockingSink(f func(context.Context, Raw) error, n int) *blockingSink {
	return &blockingSink{f: f, slots: make(chan struct{}, n)}
}

// Send takes a slot first and only then a goroutine, so that what waits is the
// caller and the number of goroutines is bounded by n.
func (s *blockingSink) Send(ctx context.Context, tx Raw, done func(error)) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		done(ctx.Err())
		return
	}
	if !s.enter() {
		<-s.slots
		done(ErrClosed)
		return
	}
	go func() {
		defer s.calls.Done()
		err := s.call(ctx, tx)
		<-s.slots
		done(err)
	}()
}

// enter counts a call in unless the sink is closed. The lock orders it against
// Close: an Add that raced with Wait would let Close return too early.
func (s *blockingSink) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls.Add(1)
	return true
}

func (s *blockingSink) call(ctx context.Context, tx Raw) (err error) {
	defer Recover(&err)
	return s.f(ctx, tx)
}

func (s *blockingSink) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() { s.calls.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
