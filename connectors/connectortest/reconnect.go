package connectortest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// reconnect: when the connection is lost and comes back, the same source and the
// same sink go on by themselves. Meanwhile Fetch, Send, Settle and Extend end with
// their contexts or before. What was confirmed is delivered, what was held comes
// back or can be settled, and nothing is lost.
func reconnect(s *scene) {
	src, sink := s.source(), s.sink()
	before := numbered("before", 40)
	s.send(sink, before...)
	missing := map[string]bool{}
	for _, tx := range before {
		missing[tx.ID()] = true
	}
	held := s.collect(src, 10, 10)

	s.tr.Down(s.TB)
	var mu sync.Mutex
	for _, tx := range numbered("during", 10) {
		s.spawn(func() {
			ctx, cancel := context.WithTimeout(s.ctx, quiet)
			defer cancel()
			a := s.answer("Send of %q without a connection", tx.ID())
			sink.Send(ctx, tx, a.done)
			if a.wait() == nil { // then it has to come
				mu.Lock()
				missing[tx.ID()] = true
				mu.Unlock()
			}
		})
	}
	short, cancel := context.WithTimeout(s.ctx, quiet)
	ds, _ := s.tryFetch(short, src, 5)
	cancel()
	held = append(held, ds...)
	for _, d := range held {
		if err := s.extend(d); errors.Is(err, errStuck) {
			s.Fatalf("Extend without a connection does not end with its context")
		}
		s.settling(d, ack) // whether it succeeds or not, it is answered
	}
	s.await()
	s.tr.Up(s.TB)
	for _, d := range held {
		delete(missing, d.Transaction().ID())
	}

	after := numbered("after", 20)
	for _, tx := range after {
		s.sendUntilStored(sink, tx)
		missing[tx.ID()] = true
	}
	for began := time.Now(); len(missing) > 0; {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		ds, err := s.tryFetch(ctx, src, 7)
		cancel()
		if err != nil && (errors.Is(err, ergon.ErrDrained) || time.Since(began) > s.h.Patience) {
			s.Fatalf("with the connection back and %d transactions missing, Fetch: %v", len(missing), err)
		}
		if err != nil {
			<-time.After(10 * time.Millisecond) // as the fetch policy has it
		}
		for _, d := range ds {
			delete(missing, d.Transaction().ID())
			s.settling(d, ack)
		}
	}
	// What was settled while the connection was away may come once more.
	for {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		ds, err := s.tryFetch(ctx, src, 7)
		cancel()
		if err != nil {
			if s.h.has(Drains) && !errors.Is(err, ergon.ErrDrained) {
				s.Fatalf("Fetch, where nothing is left: %v, not ErrDrained", err)
			}
			return
		}
		s.ackAll(ds)
	}
}

// sendUntilStored sends as an engine does: again, under the same ID, until it is
// confirmed.
func (s *scene) sendUntilStored(sink ergon.Sink, tx ergon.Raw) {
	s.Helper()
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		a := s.answer("Send of %q", tx.ID())
		sink.Send(ctx, tx, a.done)
		err := a.wait()
		cancel()
		if err == nil {
			return
		}
		if time.Since(began) > s.h.Patience {
			s.Fatalf("Send of %q, with the connection back: %v", tx.ID(), err)
		}
		<-time.After(time.Millisecond)
	}
}
