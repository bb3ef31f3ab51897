package http

import (
	"context"
	"time"

	"github.com/ergon-framework/ergon"
)

// Ready receives when there is something to fetch.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Drain refuses new requests with 503, from now on. Those that came before are still
// fetched and answered. Call it when the engine begins to stop.
func (s *Source) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain = true
}

// Health says that the source takes nothing any more.
func (s *Source) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ergon.ErrClosed
	}
	return nil
}

// Lag is how many requests wait for the engine, are with it, and were given back by it
// for later.
func (s *Source) Lag() ergon.Lag {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ergon.Lag{Pending: int64(len(s.queue)), InFlight: int64(s.held), Parked: int64(s.later), At: time.Now()}
}

// Close answers all who still wait with 503. It is idempotent and does not wait.
func (s *Source) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := range s.all {
		why := "the server is stopping, and this was not begun"
		if p.state == held {
			why = "the server is stopping, and this may be done yet"
		}
		s.end(p, reply{problem: unavailable(0, why)})
	}
	signal(s.wake)
	return nil
}
