package connectortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// sendAnswersOnce: from many goroutines, with contexts that end before or meanwhile,
// done is called exactly once for each Send, and nil means that it is delivered.
func sendAnswersOnce(s *scene) {
	src, sink := s.source(), s.sink()
	const senders, each = 6, 40
	var mu sync.Mutex
	stored := map[string]bool{} // for sure; the others may be
	for i := range senders {
		s.spawn(func() {
			for j, tx := range numbered(fmt.Sprint("sender-", i), each) {
				ctx, cancel := context.WithCancel(s.ctx)
				if j%4 == 1 {
					cancel()
				}
				a := s.answer("Send of %q", tx.ID())
				sink.Send(ctx, tx, a.done)
				if j%4 == 2 {
					cancel()
				}
				s.spawn(func() {
					defer cancel()
					if a.wait() == nil {
						mu.Lock()
						stored[tx.ID()] = true
						mu.Unlock()
					}
				})
			}
		})
	}
	s.await()
	if len(stored) == 0 {
		s.Fatalf("not a single Send succeeded")
	}
	seen := map[string]bool{}
	for {
		wait := s.h.Patience
		if len(stored) == 0 && !s.h.has(Drains) {
			wait = quiet
		}
		ctx, cancel := context.WithTimeout(s.ctx, wait)
		ds, err := s.tryFetch(ctx, src, 32)
		cancel()
		for _, d := range ds {
			id := d.Transaction().ID()
			if seen[id] {
				s.Errorf("%q was delivered twice", id)
			}
			seen[id] = true
			delete(stored, id)
		}
		s.ackAll(ds)
		if errors.Is(err, ergon.ErrDrained) || errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			s.Fatalf("Fetch: %v", err)
		}
	}
	if len(stored) > 0 {
		s.Errorf("%d transactions were confirmed and not delivered", len(stored))
	}
	if err := s.close(sink.Close); err != nil {
		s.Errorf("close the sink: %v", err)
	}
	<-time.After(quiet) // for a second answer to come, which would be a fault
}

// sendWithEndedContext: once the context has ended, cancelled or past its deadline,
// done is called with an error. The same transaction can be sent again.
func sendWithEndedContext(s *scene) {
	src, sink := s.source(), s.sink()
	tx := one("tx")
	cancelled, cancel := context.WithCancel(s.ctx)
	cancel()
	late, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for what, ctx := range map[string]context.Context{"that was cancelled": cancelled, "whose deadline has passed": late} {
		a := s.answer("Send with a context %s", what)
		sink.Send(ctx, tx, a.done)
		if err := a.wait(); err == nil {
			s.Errorf("%s: done was called with nil", a.what)
		}
	}
	s.send(sink, tx)
	s.ackAll(s.collect(src, 1, 1))
	if s.h.has(Deduplicates) {
		s.nothingLeft(src)
	}
}

// duplicates: a transaction that is sent again under its identity is confirmed
// again and delivered once.
func duplicates(s *scene) {
	src, sink := s.source(), s.sink()
	tx := one("tx")
	s.send(sink, tx)
	s.send(sink, tx, tx)
	for range 4 {
		s.spawn(func() {
			a := s.answer("Send of %q again", tx.ID())
			sink.Send(s.ctx, tx, a.done)
			if err := a.wait(); err != nil {
				s.fault("%s: %v", a.what, err)
			}
		})
	}
	s.await()
	s.send(sink, one("another"))
	s.ackAll(s.collect(src, 2, 2))
	s.send(sink, tx) // also after it was acknowledged
	s.nothingLeft(src)
}
