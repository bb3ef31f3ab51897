package connectortest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
)

// fetchWhatIsThere: Fetch waits until at least one delivery is there and returns at
// most max, without waiting for more.
func fetchWhatIsThere(s *scene) {
	src, sink := s.source(), s.sink()
	const n = 60
	s.send(sink, numbered("tx", n)...)
	for left, max := n, 1; left > 0; max = max%8 + 1 {
		ds := s.fetch(src, max) // which looks at their number
		left -= len(ds)
		s.ackAll(ds)
	}
	const few = 3
	s.send(sink, numbered("few", few)...)
	for left := few; left > 0; {
		ds := s.fetch(src, 1000) // it would wait for the rest in vain
		left -= len(ds)
		s.ackAll(ds)
	}

	s.send(sink, one("held"))
	held := s.fetch(src, 1)
	late := make(chan []ergon.Delivery, 1)
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		defer cancel()
		ds, err := s.tryFetch(ctx, src, 10)
		if err != nil {
			s.fault("Fetch, with a message held and another one sent meanwhile: %v", err)
		}
		late <- ds
	})
	s.send(sink, one("late"))
	s.ackAll(receive(s, late, "a Fetch that waits for what is sent later"))
	s.ackAll(held)
	s.nothingLeft(src)
}

// fetchEndsWithContext: when ctx ends Fetch returns its error at once, whether it
// had ended before or ends meanwhile.
func fetchEndsWithContext(s *scene) {
	src, sink := s.source(), s.sink()
	s.send(sink, numbered("tx", 5)...)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	if ds, err := s.tryFetch(ended, src, 3); len(ds) > 0 || !errors.Is(err, context.Canceled) {
		s.Fatalf("Fetch with an ended context: %d deliveries and error %v, not its context's", len(ds), err)
	}
	held := s.collect(src, 5, 5)
	// They are held, so the source is neither drained nor has anything to deliver.
	waiting, stop := context.WithTimeout(s.ctx, quiet)
	defer stop()
	if ds, err := s.tryFetch(waiting, src, 3); len(ds) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		s.Fatalf("Fetch whose context ends while it waits: %d deliveries and error %v, not its context's", len(ds), err)
	}
	s.ackAll(held)
	s.nothingLeft(src)
}

// fetchLosesNothing: what arrives when Fetch has given up is kept for the next one,
// never dropped: all of it comes, while the leases of what was dropped would last.
func fetchLosesNothing(s *scene) {
	src, sink := s.source(), s.sink()
	const rounds = 150
	s.send(sink, one("held"))
	held := s.collect(src, 1, 1) // so that every Fetch has something to wait for
	seen := map[string]bool{}
	take := func(ds []ergon.Delivery) {
		for _, d := range ds {
			if id := d.Transaction().ID(); seen[id] {
				s.Fatalf("%q was delivered twice", id)
			} else {
				seen[id] = true
			}
		}
		s.ackAll(ds)
	}
	for i, tx := range numbered("tx", rounds) {
		ctx, cancel := context.WithCancel(s.ctx)
		sent := s.answer("Send of %q", tx.ID())
		send := func() { sink.Send(s.ctx, tx, sent.done) }
		if i%3 > 0 { // two times in three while Fetch waits or gives up
			s.spawn(send)
		}
		s.spawn(func() {
			for range i {
				runtime.Gosched() // each round ends at another moment of the fetch
			}
			cancel()
		})
		ds, err := s.tryFetch(ctx, src, 3)
		if err != nil && !errors.Is(err, context.Canceled) {
			s.Fatalf("Fetch whose context ends: %v", err)
		}
		cancel()
		take(ds)
		if i%3 == 0 {
			send()
		}
		if err := sent.wait(); err != nil {
			s.Fatalf("%s: %v", sent.what, err)
		}
	}
	s.await()
	for len(seen) < rounds {
		take(s.fetch(src, 10))
	}
	s.ackAll(held)
	s.nothingLeft(src)
}

// ready: where the source has Ready, its channel receives when a Fetch would not
// wait: after one that found nothing, as soon as a message is there.
func ready(s *scene) {
	src, sink := s.source(), s.sink()
	r, ok := src.(ergon.Readier)
	if !ok {
		s.Skipf("the source has no Ready")
	}
	for i := range 3 {
		s.nothingLeft(src)
		select {
		case <-r.Ready(): // of what was fetched already
		default:
		}
		s.send(sink, one(fmt.Sprint("tx-", i)))
		receive(s, r.Ready(), "Ready, with a message there")
		s.ackAll(s.fetch(src, 1))
	}
}

// backlog: a source that tells whether there was more behind what it fetched tells the
// truth, also after a Fetch that brought nothing.
func backlog(s *scene) {
	src, sink := s.source(), s.sink()
	b, ok := src.(ergon.Backlogger)
	if !ok {
		s.Skipf("the source has no Backlog")
	}
	for _, max := range []int{1, 4} {
		// nothingLeft may have left a request open, whose message is handed out the moment
		// it is stored, when nothing is behind it: not one of the nine.
		s.send(sink, one(fmt.Sprint("first-", max)))
		s.ackAll(s.fetch(src, 1))
		s.send(sink, numbered(fmt.Sprint("tx-", max), 9)...)
		s.counted(src, 9)
		for left := 9; left > 0; {
			ds := s.fetch(src, max)
			left -= len(ds)
			if b.Backlog() != (left > 0) {
				s.Fatalf("Backlog is %v after a Fetch that left %d", b.Backlog(), left)
			}
			s.ackAll(ds)
		}
		s.nothingLeft(src)
		if b.Backlog() {
			s.Fatalf("Backlog after a Fetch that found nothing")
		}
	}
}

// counted waits until a source that has a Lag says that n are pending: a transport may
// confirm what it has stored a moment before it counts it.
func (s *scene) counted(src ergon.Source, n int64) {
	s.Helper()
	l, ok := src.(ergon.LagReporter)
	if !ok {
		return
	}
	sent := time.Now()
	s.eventually(func() bool {
		lag := l.Lag()
		return lag.At.After(sent) && lag.Pending == n
	}, "%d were sent, and Lag does not say that so many are pending", n)
}

// order: one source delivers in the order in which sends were confirmed, over
// fetches of any size.
func order(s *scene) {
	src, sink := s.source(), s.sink()
	txs := numbered("tx", 60)
	for _, tx := range txs {
		s.send(sink, tx)
	}
	var got []ergon.Delivery
	for max := 1; len(got) < len(txs); max = max%9 + 1 {
		got = append(got, s.fetch(src, max)...)
	}
	for i, d := range got {
		if want := txs[i].ID(); d.Transaction().ID() != want {
			s.Fatalf("number %d is %q, not %q: %q", i, d.Transaction().ID(), want, ids(got))
		}
	}
	s.ackAll(got)
}

// concurrency: a sink is sent to by many goroutines at once, deliveries are settled
// from any, and sources that share a queue have each message to themselves.
func concurrency(s *scene) {
	const senders, each, receivers = 8, 50, 3
	sink := s.sink()
	var mu sync.Mutex
	seen := map[string]int{}
	ctx, all := context.WithCancel(s.ctx)
	defer all()
	receiver := func(src ergon.Source, sent <-chan struct{}) {
		for {
			last := closed(sent)
			one, cancel := context.WithTimeout(ctx, s.h.Patience)
			ds, err := s.tryFetch(one, src, 16)
			cancel()
			for _, d := range ds {
				s.spawn(func() {
					if err := s.settling(d, ack).wait(); err != nil {
						s.fault("settle %q: %v", d.Transaction().ID(), err)
					}
				})
				mu.Lock()
				if seen[d.Transaction().ID()]++; len(seen) == senders*each {
					all()
				}
				mu.Unlock()
			}
			switch {
			case ctx.Err() != nil:
				return
			case errors.Is(err, ergon.ErrDrained) && last:
				return // what is missing by now is lost
			case errors.Is(err, ergon.ErrDrained):
				select {
				case <-sent:
				case <-ctx.Done():
				}
			case err != nil:
				s.fault("Fetch: %v", err)
				return
			}
		}
	}
	sent := make(chan struct{})
	for range receivers {
		src := s.source()
		s.spawn(func() { receiver(src, sent) })
	}
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			var answers []*answer
			for _, tx := range numbered(fmt.Sprint("sender-", i), each) {
				a := s.answer("Send of %q", tx.ID())
				answers = append(answers, a)
				sink.Send(s.ctx, tx, a.done)
			}
			s.confirmed(answers)
		})
	}
	s.spawn(func() { sending.Wait(); close(sent) })
	s.await()
	if len(seen) != senders*each {
		s.Errorf("%d transactions were confirmed, %d were delivered", senders*each, len(seen))
	}
	for id, n := range seen {
		if n > 1 {
			s.Errorf("%q was delivered %d times", id, n)
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
