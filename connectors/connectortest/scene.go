package connectortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
)

// scene is one run of a part: a fresh transport, and what the part began with it. It
// fails the part by itself where the contract says something about every call.
type scene struct {
	testing.TB
	h   Harness
	tr  Transport
	ctx context.Context // of the whole part

	goes sync.WaitGroup // what the part does beside its own goroutine

	mu      sync.Mutex
	answers []*answer
	over    bool // nobody may be told of faults any more
}

// quiet is how long is waited for what must not happen, where nothing else can show
// that it does not.
const quiet = 300 * time.Millisecond

func newScene(t testing.TB, h Harness, lease time.Duration) *scene {
	t.Helper()
	s := &scene{TB: t, h: h, tr: h.New(t, lease)}
	if s.tr.Source == nil || s.tr.Sink == nil {
		t.Fatalf("connectortest: the transport has no Source or no Sink")
	}
	for feature, missing := range map[Feature]bool{
		Plain: s.tr.Publish == nil, DeadLetters: s.tr.DeadLetters == nil, CountsUnacked: s.tr.Unacked == nil,
		Reconnects: s.tr.Down == nil || s.tr.Up == nil,
	} {
		if missing && h.has(feature) {
			t.Fatalf("connectortest: %s is declared, and the transport has no function for it", feature)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*h.Patience)
	s.ctx = ctx
	// Runs after all sources and sinks are closed, and before the transport ends.
	t.Cleanup(func() {
		t.Helper()
		cancel()
		if !s.ended() {
			s.fault("concurrent calls of the part do not end")
		}
		s.allAnswered()
	})
	return s
}

// fault reports one, from any goroutine. What comes after the end of the part is
// not reported: there is no part to fail any more.
func (s *scene) fault(format string, a ...any) {
	s.Helper()
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if !over {
		s.Errorf(format, a...)
	}
}

// spawn runs f beside the part, which waits for it at its end. f reports by fault.
func (s *scene) spawn(f func()) { s.goes.Go(f) }

// await waits until all that was spawned has ended.
func (s *scene) await() {
	s.Helper()
	if !s.ended() {
		s.Fatalf("waited %v in vain for the end of concurrent calls", s.h.Patience)
	}
}

func (s *scene) ended() bool {
	ended := make(chan struct{})
	go func() { s.goes.Wait(); close(ended) }()
	timer := time.NewTimer(s.h.Patience)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// receive is the next value of c, which has to come.
func receive[T any](s *scene, c <-chan T, what string) T {
	s.Helper()
	timer := time.NewTimer(s.h.Patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		s.Fatalf("waited %v in vain for %s", s.h.Patience, what)
		panic("unreachable")
	}
}

// eventually waits until cond holds.
func (s *scene) eventually(cond func() bool, format string, a ...any) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !cond(); <-tick.C {
		if time.Since(began) > s.h.Patience {
			s.Fatalf("waited %v in vain: %s", s.h.Patience, fmt.Sprintf(format, a...))
		}
	}
}

func (s *scene) source() ergon.Source {
	s.Helper()
	src := s.tr.Source(s.TB)
	s.closeAtEnd("source", src.Close)
	return src
}

// rival is another source of the same queue, or src itself where there can be only
// one: what src holds, both get only after src has lost it.
func (s *scene) rival(src ergon.Source) ergon.Source {
	s.Helper()
	if s.h.has(Shared) {
		return s.source()
	}
	return src
}

func (s *scene) sink() ergon.Sink {
	s.Helper()
	sink := s.tr.Sink(s.TB)
	s.closeAtEnd("sink", sink.Close)
	return sink
}

func (s *scene) closeAtEnd(what string, close func(context.Context) error) {
	s.Cleanup(func() {
		if err := s.close(close); err != nil {
			s.fault("close the %s: %v", what, err)
		}
	})
}

var errStuck = errors.New("it did not return")

// close calls a Close, with all the time that the harness grants.
func (s *scene) close(close func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.h.Patience)
	defer cancel()
	return s.bounded(ctx, close)
}

// bounded calls f, and gives it up some time after ctx ended.
func (s *scene) bounded(ctx context.Context, f func(context.Context) error) error {
	c := make(chan error, 1)
	go func() { c <- f(ctx) }()
	select {
	case err := <-c:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(s.h.Patience)
	defer timer.Stop()
	select {
	case err := <-c:
		return err
	case <-timer.C:
		return errStuck
	}
}
