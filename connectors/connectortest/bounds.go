package connectortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/ergon-framework/ergon"
)

// unackedBound: the source holds no more than it was asked for. A caller that asks
// for what fits its window, less what it holds, never has more than the window
// handed out by the transport, however much there is.
func unackedBound(s *scene) {
	src, sink := s.source(), s.sink()
	const n, window = 400, 48
	s.send(sink, numbered("tx", n)...)
	var held []ergon.Delivery
	for seen := 0; seen < n; {
		for seen < n && len(held) < window {
			ds := s.fetch(src, window-len(held))
			seen += len(ds)
			held = append(held, ds...)
			if got := s.tr.Unacked(s.TB); seen <= window && got > window {
				s.Fatalf("with a window of %d, and %d deliveries held, the transport has handed out %d", window, len(held), got)
			}
		}
		// What was settled before may be counted for a moment yet.
		s.eventually(func() bool { return s.tr.Unacked(s.TB) <= window }, "a window of %d is exceeded and stays so", window)
		settled := len(held) / 3
		s.ackAll(held[:settled])
		held = held[settled:]
	}
	s.ackAll(held)
	s.nothingLeft(src)
}

// memoryBound: a slow engine that holds two large messages of many, and asks for
// two, makes the source hold no more than as many again, and nothing of those that
// were settled. It is the memory of the whole process that is measured, an embedded
// transport's caches included, so half of all that is stored is granted.
func memoryBound(s *scene) {
	const n, size, some = 192, 256 << 10, 2
	sink := s.sink()
	for i := range n / 8 {
		txs := numbered(fmt.Sprint("tx-", i), 8)
		for j := range txs {
			txs[j] = ergon.With(txs[j], bytes.Repeat([]byte{byte(i)}, size))
		}
		s.send(sink, txs...)
	}
	before, peak := heap(), 0
	src := s.source()
	for seen, fetches := 0, 0; seen < n; fetches++ {
		ds := s.fetch(src, some)
		seen += len(ds)
		if fetches%8 == 0 {
			peak = max(peak, int(heap())-int(before))
			if peak > n*size/2 {
				s.Fatalf("%d messages of %d KiB are held, %d MiB more than before the first fetch is in use",
					len(ds), size>>10, peak>>20)
			}
		}
		s.ackAll(ds)
	}
	s.Logf("%d MiB came through %d KiB", n*size>>20, peak>>10)
	s.nothingLeft(src)
}

// heap is how much memory is in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what a pool kept through the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// saturation: ten thousand transactions, fetched while they are sent and settled
// from many goroutines, come once each, while no more than a window of them is ever
// unsettled: the source is asked for what fits, and the transport never has more
// than that and a fetch's worth handed out.
func saturation(s *scene) {
	const n, window, settlers = 10_000, 256, 8
	src, sink := s.source(), s.sink()
	txs := numbered("tx", n)
	s.send(sink, txs[:n/2]...) // a backlog to begin with
	progress, filled := make(chan struct{}, 1), make(chan struct{})
	s.spawn(func() {
		defer close(filled)
		answers := make([]*answer, n-n/2)
		for i, tx := range txs[n/2:] {
			answers[i] = s.answer("Send of %q", tx.ID())
			answers[i].then = func(error) { signal(progress) }
			sink.Send(s.ctx, tx, answers[i].done)
		}
		s.confirmed(answers)
	})
	work, free := make(chan ergon.Delivery, window), make(chan struct{}, window)
	defer close(work)
	for range window {
		free <- struct{}{}
	}
	for range settlers {
		s.spawn(func() {
			for d := range work {
				a := s.answer("Settle of %q", d.Transaction().ID())
				a.then = func(err error) {
					if err != nil {
						s.fault("%s: %v", a.what, err)
					}
					signal(free)
				}
				d.Settle(ack, a.done)
			}
		})
	}
	seen := make(map[string]bool, n)
	for fetches := 0; len(seen) < n; fetches++ {
		receive(s, free, "a settlement")
		max := 1
		for max < window && len(free) > 0 {
			<-free
			max++
		}
		all := closed(filled)
		ctx, cancel := context.WithTimeout(s.ctx, s.h.Patience)
		ds, err := s.tryFetch(ctx, src, max)
		cancel()
		switch {
		case errors.Is(err, ergon.ErrDrained) && !all:
			select {
			case <-progress:
			case <-filled: // within the harness's patience, as every answer
			}
		case err != nil:
			s.Fatalf("Fetch, with %d of %d delivered: %v", len(seen), n, err)
		}
		for range max - len(ds) {
			signal(free)
		}
		for _, d := range ds {
			if id := d.Transaction().ID(); seen[id] {
				s.Fatalf("%q was delivered twice", id)
			} else {
				seen[id] = true
			}
			work <- d
		}
		if fetches%4 == 0 && s.h.has(CountsUnacked) {
			// What was settled may be counted for a moment yet. What was asked for
			// beyond the window stays.
			s.eventually(func() bool { return s.tr.Unacked(s.TB) <= 2*window },
				"with a window of %d, the transport has handed out %d", window, s.tr.Unacked(s.TB))
		}
	}
	for range window {
		receive(s, free, "the last settlements")
	}
	receive(s, filled, "the last confirmations")
	s.nothingLeft(src)
	if s.h.has(CountsUnacked) {
		s.eventually(func() bool { return s.tr.Unacked(s.TB) == 0 }, "something is still handed out")
	}
}

// signal puts a token into c, unless it is full.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
