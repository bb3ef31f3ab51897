package connectortest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ergon-framework/ergon"
)

// drain: Fetch returns ErrDrained when nothing is pending, in flight anywhere or
// parked, and only then: not just after a send was confirmed, not while this source
// or another one holds a delivery, not while one waits out its delay. A Fetch that
// waits learns when the last one is settled.
func drain(s *scene) {
	src, sink := s.source(), s.sink()
	s.nothingLeft(src)
	for i := range 30 {
		s.send(sink, one(fmt.Sprint("tx-", i)))
		s.ackAll(s.fetch(src, 1)) // which ErrDrained fails
	}
	s.nothingLeft(src)

	s.send(sink, one("held"))
	d := s.collect(src, 1, 1)[0]
	for i, other := range []ergon.Source{s.rival(src), src} {
		ctx, cancel := context.WithTimeout(s.ctx, quiet)
		_, err := s.tryFetch(ctx, other, 1)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Fatalf("Fetch, while a source holds a delivery: %v", err)
		}
		if i == 0 && s.h.has(Shared) { // or it may be given what this part waits for
			if err := s.close(other.Close); err != nil {
				s.Fatalf("close a source that waited in vain: %v", err)
			}
		}
	}
	if s.h.has(Redelivers) {
		s.settle(d, ergon.Settlement{Kind: ergon.Release, After: quiet})
		d = s.collect(src, 1, 1)[0]
	}
	if s.h.has(Defers) {
		s.settle(d, ergon.Settlement{
			Kind: ergon.Retry, After: quiet, NextAttempt: 2, Err: failure(d.Transaction(), "not now"), FirstSeen: d.Info().FirstSeen,
		})
		d = s.collect(src, 1, 1)[0]
	}
	drained := make(chan error, 1)
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		defer cancel()
		_, err := s.tryFetch(ctx, src, 1)
		drained <- err
	})
	s.settle(d, ack)
	if err := receive(s, drained, "a Fetch that waits for the last settlement"); !errors.Is(err, ergon.ErrDrained) {
		s.Fatalf("Fetch, when the last delivery was settled: %v, not ErrDrained", err)
	}
	s.nothingLeft(src)
}

// closeHandsBack: what the source was given and Fetch did not return, another source
// gets at once, not when a lease of ten minutes ends.
func closeHandsBack(s *scene) {
	src, sink := s.source(), s.sink()
	const asked = 16
	s.send(sink, one("first"))
	s.ackAll(s.fetch(src, asked)) // and asks for fifteen more, if it asks ahead
	rest := numbered("rest", asked-1)
	s.send(sink, rest...)
	if err := s.close(src.Close); err != nil {
		s.Fatalf("close the source: %v", err)
	}
	other := s.source()
	got := s.collect(other, len(rest), len(rest))
	if missing := unfetched(rest, got); len(missing) > 0 {
		s.Errorf("%q did not come", missing)
	}
	s.ackAll(got)
	s.nothingLeft(other)
}

// closeIsIdempotent: Close may be called again, of a source and of a sink, used or
// not, and from several goroutines. It gives up when its context ends. Close of a
// sink waits for what is on its way. Afterwards Fetch returns ErrClosed, and Send
// calls done with ErrClosed and stores nothing.
func closeIsIdempotent(s *scene) {
	s.closeTwice("a source that was never used", s.tr.Source(s.TB).Close)
	s.closeTwice("a sink that was never used", s.tr.Sink(s.TB).Close)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for what, close := range map[string]func(context.Context) error{
		"source": s.tr.Source(s.TB).Close, "sink": s.tr.Sink(s.TB).Close,
	} {
		if err := s.bounded(ended, close); errors.Is(err, errStuck) {
			s.Fatalf("Close of a %s does not give up when its context has ended", what)
		}
		if err := s.close(close); errors.Is(err, errStuck) {
			s.Fatalf("Close of a %s, after one that gave up, does not return", what)
		}
	}

	src, sink := s.source(), s.sink()
	sent := numbered("tx", 10)
	if s.h.has(Persistent) {
		var all []*answer
		for _, tx := range sent {
			a := s.answer("Send of %q", tx.ID())
			all = append(all, a)
			sink.Send(s.ctx, tx, a.done)
		}
		s.closeTwice("a sink", sink.Close)
		for _, a := range all {
			if a.calls.Load() == 0 {
				s.Errorf("Close of the sink does not wait for %s", a.what)
			}
		}
		s.confirmed(all)
	} else {
		s.closeTwice("a sink", sink.Close)
	}
	late := s.answer("Send after Close")
	sink.Send(s.ctx, one("late"), late.done)
	if err := late.wait(); !errors.Is(err, ergon.ErrClosed) {
		s.Errorf("Send after Close: done was called with %v, not ErrClosed", err)
	}
	if s.h.has(Persistent) {
		s.ackAll(s.collect(src, len(sent), len(sent)))
	}
	s.nothingLeft(src)
	s.closeTwice("a source", src.Close)
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	if _, err := s.tryFetch(ctx, src, 1); !errors.Is(err, ergon.ErrClosed) {
		s.Errorf("Fetch after Close: %v, not ErrClosed", err)
	}
}

func (s *scene) closeTwice(what string, close func(context.Context) error) {
	s.Helper()
	if err := s.close(close); err != nil {
		s.Fatalf("Close of %s: %v", what, err)
	}
	var again sync.WaitGroup
	for range 4 {
		again.Go(func() {
			if err := s.close(close); err != nil {
				s.fault("Close of %s again: %v", what, err)
			}
		})
	}
	again.Wait()
}
