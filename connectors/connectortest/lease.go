package connectortest

import (
	"context"
	"errors"
	"time"

	"github.com/ergon-framework/ergon"
)

// heartbeats: Extend keeps a delivery beyond DeliveryInfo.Lease for as long as it is
// called at a third of it, while one beside it that is not extended goes to somebody
// else. It can be settled at the end.
func heartbeats(s *scene) {
	src, sink := s.source(), s.sink()
	other := s.rival(src)
	s.send(sink, numbered("tx", 2)...)
	held := s.collect(src, 2, 2)
	kept, left := held[0], held[1]
	lease := kept.Info().Lease
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	came := make(chan struct{}) // what was not extended, to the other one
	s.spawn(func() {
		defer stop()
		beat := time.NewTicker(lease / 3)
		defer beat.Stop()
		for n := 0; n < 9 || !closed(came); n++ { // three leases long, at least
			select {
			case <-beat.C:
			case <-ctx.Done():
				return
			}
			if err := s.extend(kept); err != nil {
				s.fault("extend a lease of %v after a third of it: %v", lease, err)
				return
			}
		}
	})
	again := s.collect(other, 1, 1)[0]
	if again.Transaction().ID() != left.Transaction().ID() {
		s.Fatalf("what was extended was delivered to somebody else")
	}
	s.settle(again, ack)
	close(came)
	switch ds, err := s.tryFetch(ctx, other, 1); {
	case len(ds) > 0:
		s.Fatalf("%q is delivered, while the first one's lease is extended", ids(ds))
	case !errors.Is(err, context.Canceled):
		s.Fatalf("Fetch, while a lease is extended: %v", err)
	}
	s.await()
	s.settle(kept, ack)
	s.nothingLeft(other)
}

func (s *scene) extend(d ergon.Delivery) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
	defer cancel()
	return s.bounded(ctx, d.Extend)
}

// lostLease: when a delivery belongs to somebody else, Extend of the old one says
// ErrLeaseLost, and that of the new one does well.
func lostLease(s *scene) {
	src, sink := s.source(), s.sink()
	other := s.rival(src)
	s.send(sink, one("tx"))
	old := s.collect(src, 1, 1)[0]
	again := s.collect(other, 1, 1)[0]
	if err := s.extend(again); err != nil {
		s.Fatalf("extend a delivery that just came: %v", err)
	}
	if err := s.extend(old); !errors.Is(err, ergon.ErrLeaseLost) {
		s.Fatalf("extend a delivery that belongs to another source by now: %v, not ErrLeaseLost", err)
	}
	s.settle(again, ack)
	s.nothingLeft(other)
}

// crashCounting: a start that was recorded and never forgotten, since its process
// died, is counted in DeliveryInfo.Crashes of the deliveries that follow. One that
// was forgotten, since it ended, is not.
func crashCounting(s *scene) {
	src, sink := s.source(), s.sink()
	s.send(sink, one("tx"))
	d := s.collect(src, 1, 1)[0]
	for d.Info().Deliveries <= 2 { // the engine records the start of no earlier one
		s.settle(d, ergon.Settlement{Kind: ergon.Release})
		d = s.collect(src, 1, 1)[0]
	}
	start := func(d ergon.Delivery) ergon.StartRecorder {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		defer cancel()
		r := d.(ergon.StartRecorder)
		if err := s.bounded(ctx, r.RecordStart); err != nil {
			s.Fatalf("record a start: %v", err)
		}
		return r
	}
	for crashes := range 3 {
		if got := d.Info().Crashes; got != crashes {
			s.Fatalf("after %d starts that never ended, Crashes is %d", crashes, got)
		}
		if crashes < 2 {
			start(d)                    // and then the process dies, and the lease ends
			d = s.collect(src, 1, 1)[0] // in another one
		}
	}
	start(d).ForgetStart()
	s.settle(d, ergon.Settlement{Kind: ergon.Release, After: quiet})
	d = s.collect(src, 1, 1)[0]
	if got := d.Info().Crashes; got > 2 {
		s.Errorf("after two starts that never ended and one that did, Crashes is %d", got)
	}
	s.settle(d, ack)
	s.nothingLeft(src)
}

// leaseUnderPrefetch: a delivery that Fetch returns is held for DeliveryInfo.Lease
// from then on. What waited in the source for longer than its lease, because the
// engine was slow to fetch, belongs to somebody else and is not returned, or two
// would run it (LESSONS 1).
func leaseUnderPrefetch(s *scene) {
	slow, sink := s.source(), s.sink()
	const asked = 8
	s.send(sink, one("first"))
	// It asks for eight and gets one: the others are asked for already, if the
	// source asks ahead.
	s.ackAll(s.fetch(slow, asked))
	s.send(sink, numbered("ahead", asked-1)...)
	other := s.source()
	held := map[string]ergon.Delivery{}
	// Some may come at once, where the first source asked for fewer than it might.
	for began := time.Now(); len(held) < asked-1; {
		if time.Since(began) > s.h.Patience {
			s.Fatalf("waited %v in vain for what one source was given and did not fetch: another one got %d of %d", s.h.Patience, len(held), asked-1)
		}
		for _, d := range s.fetchWithin(other, asked, s.h.Lease/4) {
			held[d.Transaction().ID()] = d
		}
		for id, d := range held {
			if err := s.extend(d); err != nil {
				s.Fatalf("extend %q, which came a short while ago: %v", id, err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.h.Lease/4)
	defer cancel()
	ds, _ := s.tryFetch(ctx, slow, asked)
	for _, d := range ds {
		theirs := held[d.Transaction().ID()]
		if theirs == nil {
			s.Fatalf("%q was never sent", d.Transaction().ID())
		}
		if s.h.has(CountsDeliveries) && d.Info().Deliveries > theirs.Info().Deliveries {
			continue // this machine was so slow that the other one lost it
		}
		s.Errorf("%q is returned as held for %v, after its lease has ended in the source and another one got it",
			d.Transaction().ID(), d.Info().Lease)
	}
	for _, d := range held {
		s.settle(d, ack)
	}
}

// fetchWithin is what a Fetch brings that may wait no longer than that.
func (s *scene) fetchWithin(src ergon.Source, max int, wait time.Duration) []ergon.Delivery {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, wait)
	defer cancel()
	ds, err := s.tryFetch(ctx, src, max)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("Fetch: %v", err)
	}
	return ds
}
