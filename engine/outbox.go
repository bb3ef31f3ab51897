package engine

import (
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
)

// outbox is what a flight sends: its outputs, and the sends of the attempt of
// produce that runs. A flight that sends nothing has none, so its methods take
// nil.
//
// The goroutine that advances the flight owns it; sends and sendBy stand under the
// flight's mu, for the sweeper looks at them.
type outbox struct {
	outs  []ergon.Raw
	sinks []ergon.Sink // one for each of outs

	sends   []send       // of the running attempt
	sendBy  time.Time    // when those are given up, zero for never
	missing atomic.Int32 // sends of this attempt without an answer
	stored  int          // outputs that are confirmed
	handed  bool         // something was handed to a sink

	ctx       *attempt.Context
	sentAt    time.Time // when this attempt began
	goesOn    bool      // a producer's attempt goes on in its sends
	attemptBy time.Time // the end of that attempt, zero for none

	// What one output needs, in the same piece of memory. It is used once: an
	// answer that comes late, or twice, is for what it was asked for.
	first sending
	out   [1]ergon.Raw
	sink  [1]ergon.Sink
	send  [1]send
}

// sending is an attempt's context for sinks. Hardly any asks for its facts, so they
// are made when one does.
type sending struct {
	ctx  attempt.Context
	f    *flight
	n    int
	span SpanID
	exec atomic.Pointer[ergon.Execution]
}

func (s *sending) init(f *flight, deadline time.Time) {
	s.f, s.n, s.span = f, f.n, f.span // of a producer's attempt, which goes on
	if !f.box().goesOn {
		s.span = f.newSpan()
	}
	s.ctx.Init(f.e.publishing, deadline, errAttemptTimeout, s)
}

// Value is what a sink reads.
func (s *sending) Value(key any) any {
	if _, ok := key.(ergon.ExecutionKey); ok {
		return s.execution()
	}
	return s.f.traced(key, s.span)
}

func (s *sending) execution() *ergon.Execution {
	if x := s.exec.Load(); x != nil {
		return x
	}
	deadline, _ := s.ctx.Deadline()
	x := &ergon.Execution{}
	s.f.tell(x, stepProduce, s.n, deadline)
	s.exec.CompareAndSwap(nil, x)
	return s.exec.Load()
}

// box is the flight's outbox, nil if it has none yet.
func (f *flight) box() *outbox { return f.out.Load() }

// outbox returns the flight's, made if there is none. Its goroutine calls it.
func (f *flight) outbox() *outbox {
	b := f.box()
	if b == nil {
		b = &outbox{}
		f.out.Store(b)
	}
	return b
}

// make makes room for n outputs.
func (b *outbox) make(n int) {
	if n == 1 && b.outs == nil {
		b.outs, b.sinks = b.out[:], b.sink[:]
		return
	}
	b.outs, b.sinks = make([]ergon.Raw, n), make([]ergon.Sink, n)
}

// open returns a send for each output that is not confirmed yet.
func (b *outbox) open(f *flight) []send {
	switch {
	case b.sends != nil:
		open := make([]send, len(b.outs)-b.stored)
		n := 0
		for i := range b.sends {
			if b.sends[i].err != nil {
				open[n].f, open[n].i = f, b.sends[i].i
				n++
			}
		}
		return open
	case len(b.outs) == 1 && b.send[0].f == nil:
		b.send[0].f = f
		return b.send[:]
	}
	all := make([]send, len(b.outs))
	for i := range all {
		all[i].f, all[i].i = f, i
	}
	return all
}

// attempt says that a producer's attempt goes on in its sends, until by.
func (b *outbox) attempt(began, by time.Time) {
	b.goesOn, b.sentAt, b.attemptBy = true, began, by
}

// outputs are those that the flight has, sent or not.
func (b *outbox) outputs() []ergon.Raw {
	if b == nil {
		return nil
	}
	return b.outs
}

// confirmed is how many are stored for sure.
func (b *outbox) confirmed() int {
	if b == nil {
		return 0
	}
	return b.stored
}

// sent reports whether one may be stored.
func (b *outbox) sent() bool { return b != nil && b.handed }
