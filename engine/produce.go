package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/attempt"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// sendGrace is how long after an attempt's deadline a sink may still answer. It
// knows the deadline and keeps it; this is for one that does not.
const sendGrace = 500 * time.Millisecond

// errNoAnswer ends a send whose sink never called done.
var errNoAnswer = errors.New("the sink did not answer within the attempt's time: what became of it is unknown")

// send is one output's way to its sink in one attempt.
type send struct {
	f     *flight
	i     int         // which of its outputs
	ended atomic.Bool // the first answer counts, later ones change nothing
	err   error
}

func (s *send) done(err error) {
	if s.ended.CompareAndSwap(false, true) {
		s.err = err
		if s.f.box().missing.Add(-1) == 0 {
			s.f.answered()
		}
	}
}

// produce encodes what the task returned and sends it. Encoding runs once: each
// attempt sends the same bytes under the same IDs.
func (f *flight) produce() {
	f.step, f.n = stepProduce, 1
	if err := f.address(); err != nil {
		// No other attempt would encode it better.
		f.ended(endFailed, 0, &ergon.Error{Category: ergon.CategoryBusiness, Err: err})
		return
	}
	if len(f.box().outputs()) == 0 {
		f.ended(endOK, 0, nil)
		return
	}
	f.sendAll()
}

// produced goes on with a producer's attempt whose code has returned: its sends
// are the rest of it. What an earlier attempt returned is void.
func (f *flight) produced() {
	b := f.outbox()
	f.mu.Lock()
	b.sends, b.stored = nil, 0
	f.mu.Unlock()
	err := f.address()
	if err == nil && len(b.outs) > 0 {
		f.sendAll()
		return
	}
	if err != nil {
		err = &ergon.Error{Category: ergon.CategoryBusiness, Err: err}
	}
	f.e.phases[stepProduce].Leave(err)
	f.returned = time.Now()
	f.e.attemptEnded(f, f.returned.Sub(b.sentAt), err)
	f.attemptDone(err)
}

// address gives each output its identity and its sink.
func (f *flight) address() error {
	e := f.e
	var one [1]output
	outs, err := e.task.encode(f.result, one[:0])
	if err != nil || len(outs) == 0 {
		if b := f.box(); b != nil {
			b.outs = nil
		}
		return err
	}
	b := f.outbox()
	b.make(len(outs))
	trace := f.raw.Trace()
	if f.tracing != nil {
		trace = f.tracing.Trace()
	} else if !identity.ValidTraceParent(trace.Parent) {
		trace = ergon.Trace{Parent: identity.TraceParent(f.raw.Source(), f.raw.ID())}
	}
	id := f.raw.ID()
	if f.info.Epoch != "" {
		id += "@" + f.info.Epoch
	}
	var seen map[string]int
	for i := range outs {
		o := &outs[i]
		r := e.only
		if o.route != "" || r == nil {
			r = e.routes[o.route]
		}
		if r == nil {
			return fmt.Errorf("output %d names route %q, which task %q did not declare: its routes are %q", i+1, o.route, e.task.name, e.task.routes)
		}
		k := identity.SingleK
		if !o.single {
			if seen == nil {
				seen = make(map[string]int, len(outs))
			}
			if k, err = outputK(*o, r.name, seen); err != nil {
				return fmt.Errorf("output %d: %w", i+1, err)
			}
		}
		b.sinks[i] = r.sink
		b.outs[i] = ergon.Make(ergon.Envelope{
			ID:            identity.Output(f.raw.Source(), id, e.source, r.name, k),
			Source:        e.source,
			Type:          r.name,
			CausationID:   f.raw.ID(),
			CorrelationID: f.raw.CorrelationID(),
			CreatedAt:     f.info.FirstSeen,
			ContentType:   o.contentType,
			Key:           o.key,
			Metadata:      o.metadata,
			Trace:         trace,
		}, o.payload)
	}
	return nil
}

// outputK tells the outputs of one route apart. Two with one key would have one
// ID, and the bus would drop the second as a copy of the first: that is an
// error, not a loss.
func outputK(o output, route string, seen map[string]int) (string, error) {
	if o.key != "" {
		k := identity.KeyK(o.key)
		if seen[route+"\x00"+k]++; seen[route+"\x00"+k] > 1 {
			return "", fmt.Errorf("a second output for route %q has the key %q: a key is used once per route", route, o.key)
		}
		return k, nil
	}
	first := identity.PayloadK(o.payload, 0)
	n := seen[route+"\x00"+first]
	seen[route+"\x00"+first]++
	if n == 0 {
		return first, nil
	}
	return identity.PayloadK(o.payload, n), nil
}

// sendAll hands every output that is not confirmed yet to its sink. The answers
// come from the sinks' goroutines, possibly before Send returns; the last one
// goes on with the flight, so nothing here touches it after the loop.
//
// The context is the publishing one: once an output was handed out neither the
// transaction's timeout nor a stop cancels it, and the phase ends by its own
// budget.
func (f *flight) sendAll() {
	e, b := f.e, f.box()
	if !b.goesOn {
		if err := f.enterProduce(); err != nil {
			f.attemptDone(err)
			return
		}
		b.sentAt = f.sendsAt()
		e.stats.phases[stepProduce].began.Add(1)
	}
	sends := b.open(f)
	b.handed = true
	deadline := b.attemptBy
	if d := e.phases[stepProduce].Timeout(); d > 0 && !b.goesOn {
		deadline = b.sentAt.Add(d)
	}
	var by time.Time
	if !deadline.IsZero() {
		by = deadline.Add(sendGrace)
	}
	a := &b.first
	if a.f != nil {
		a = &sending{}
	}
	a.init(f, deadline)
	b.ctx = &a.ctx
	b.missing.Store(int32(len(sends)))
	f.mu.Lock()
	b.sends, b.sendBy = sends, by
	f.mu.Unlock()
	for i := range sends {
		s := &sends[i]
		e.send(b.sinks[s.i], &a.ctx, b.outs[s.i], s.done)
	}
}

// sendsAt is when an attempt of produce begins. The first one follows user code
// at once, so encoding is part of it, and the clock is not read again.
func (f *flight) sendsAt() time.Time {
	if f.n == 1 && !f.e.phases[stepProduce].Limited() {
		return f.returned
	}
	return time.Now()
}

// enterProduce waits for the phase's limits, until the transaction's time is over
// (as long as nothing was sent), its lease is lost or publishing ends. answered
// gives back what it took.
func (f *flight) enterProduce() error {
	p := f.e.phases[stepProduce]
	if !p.Limited() {
		return nil
	}
	wait := f.base() // of the retry, which has registered it
	if wait == nil {
		wait = attempt.New(f.e.publishing, f.deadline, errTransactionTimeout, nil)
		defer wait.Cancel(context.Canceled)
		if !f.register(wait) {
			return ergon.ErrLeaseLost
		}
		defer f.unregister()
	}
	err := p.Enter(wait)
	if err == nil && wait.Err() != nil { // both came true at once
		p.Leave(resilience.ErrNotRun)
		err = wait.Err()
	}
	if err != nil {
		return f.timeout(context.Cause(wait), err)
	}
	return nil
}

// answered runs once per attempt, when its last answer came.
func (f *flight) answered() {
	b := f.box()
	f.mu.Lock()
	b.sendBy = time.Time{}
	sends := b.sends
	f.mu.Unlock()
	b.ctx.Finish()
	var err error
	for i := range sends {
		switch e := sends[i].err; {
		case e == nil:
			b.stored++
		case err == nil || ergon.CategoryOf(e) == ergon.CategoryBusiness:
			err = e // one that will never be taken decides over one that may be
		}
	}
	f.e.phases[stepProduce].Leave(err)
	f.returned = time.Now()
	f.e.attemptEnded(f, f.returned.Sub(b.sentAt), err)
	f.attemptDone(err)
}

// expire ends the sends that their sink left without an answer.
func (f *flight) expire(now time.Time) {
	var by time.Time
	var sends []send
	f.mu.Lock()
	if b := f.box(); b != nil {
		by, sends = b.sendBy, b.sends
	}
	f.mu.Unlock()
	if by.IsZero() || now.Before(by) {
		return
	}
	for i := range sends {
		sends[i].done(&ergon.Error{Category: ergon.CategoryTimeout, Err: errNoAnswer})
	}
}

// send counts the calls of an AsyncSink that have not returned.
func (e *Engine) send(sink ergon.Sink, ctx *attempt.Context, tx ergon.Raw, done func(error)) {
	if _, ok := sink.(ergon.AsyncSink); ok {
		e.sending.Add(1)
		defer e.sending.Add(-1)
	}
	sendSafely(sink, ctx, tx, done)
}

func sendSafely(sink ergon.Sink, ctx *attempt.Context, tx ergon.Raw, done func(error)) {
	defer recovered(done)
	sink.Send(ctx, tx, done)
}
