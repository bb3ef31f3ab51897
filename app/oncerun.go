package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// onceRun is the source of one transaction, and all that is noted of it.
type onceRun struct {
	once    *Once
	found   jetstream.Found
	ctx     context.Context // of what outlives a stop
	pub     *bus.Publisher
	letters *bus.DeadLetters

	fetched bool
	waits   chan struct{} // receives when a wait for the next attempt begins
	settled chan struct{} // closed with the first settlement
	once1   sync.Once
	beside  sync.WaitGroup

	mu     sync.Mutex
	result OnceResult
	places map[outputKey]int // of the outputs in the result
}

// outputKey names an output: its ID is the same in each attempt.
type outputKey struct{ route, id string }

var (
	_ ergon.Source   = (*onceRun)(nil)
	_ ergon.Delivery = (*onceRun)(nil)
)

// Fetch brings the transaction, and then waits for its end.
func (r *onceRun) Fetch(ctx context.Context, _ int) ([]ergon.Delivery, error) {
	if !r.fetched {
		r.fetched = true
		return []ergon.Delivery{r}, nil
	}
	select {
	case <-r.settled:
		return nil, ergon.ErrDrained
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close waits for a dead letter that is on its way.
func (r *onceRun) Close(context.Context) error {
	r.beside.Wait()
	return nil
}

// Transaction is the one that was found.
func (r *onceRun) Transaction() ergon.Raw { return r.found.Raw }

// Info has no lease: what was looked up is nobody's.
func (r *onceRun) Info() ergon.DeliveryInfo { return r.found.Info }

// Extend has nothing to extend.
func (r *onceRun) Extend(context.Context) error { return nil }

// Settle settles nothing with the stream. A dead letter is stored if that is asked for;
// that it can't be is noted and not tried for ever, for somebody waits.
func (r *onceRun) Settle(s ergon.Settlement, done func(error)) {
	end := func() {
		r.once1.Do(func() { close(r.settled) })
		done(nil)
	}
	if s.Kind != ergon.Dead || r.letters == nil {
		end()
		return
	}
	r.beside.Go(func() {
		consumer := "http" // whose letters nobody else stores
		if js := r.once.bound.config.Source.JetStream; js != nil {
			consumer = js.Stream + "/" + js.Durable
		}
		answer := make(chan error, 1)
		ctx, cancel := context.WithTimeout(r.ctx, stopReserve)
		defer cancel()
		r.letters.Store(ctx, r.found.Message, r.found.Letter(consumer, s), func(err error) { answer <- err })
		err := <-answer
		r.mu.Lock()
		r.result.Buried, r.result.BuryErr = err == nil, err
		r.mu.Unlock()
		end()
	})
}

func (r *onceRun) close() error {
	ctx, cancel := context.WithTimeout(r.ctx, stopReserve)
	defer cancel()
	var errs []error
	if r.letters != nil {
		errs = append(errs, r.letters.Close(ctx))
	}
	if r.pub != nil {
		errs = append(errs, r.pub.Close(ctx))
	}
	return errors.Join(errs...)
}

// observe notes what is told of the transaction.
func (r *onceRun) observe(ev engine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &r.result
	switch ev := ev.(type) {
	case engine.AttemptEnded:
		now := time.Now()
		res.Attempts = append(res.Attempts, engine.AttemptRecord{
			Phase: ev.Phase, Attempt: ev.Attempt, MaxAttempts: ev.MaxAttempts, Began: now.Add(-ev.Duration), Ended: now, Err: ev.Err,
		})
	case engine.RetryScheduled:
		for i := range slices.Backward(res.Attempts) {
			if a := &res.Attempts[i]; a.Phase == ev.Phase && a.Attempt == ev.Attempt {
				a.Delay = ev.Delay
				break
			}
		}
		select {
		case r.waits <- struct{}{}:
		default:
		}
	case engine.Finished:
		res.Outcome, res.Err, res.HandlerErr, res.Duration = ev.Outcome, ev.Err, ev.HandlerErr, ev.Duration
		if ev.Err != nil && ev.Err.Phase == ergon.PhaseDecode {
			for i := range slices.Backward(res.Attempts) { // the engine decodes within the attempt
				if res.Attempts[i].Phase != ergon.PhaseException {
					res.Attempts[i].Phase = ergon.PhaseDecode
					break
				}
			}
		}
	}
}

// toAbort waits until the run has ended, or until there is no point in waiting for it:
// true. A run of many would let a wait go on for shutdown.grace; somebody who ended
// this one has nothing from that.
func (r *onceRun) toAbort(ctx context.Context, abort, ran <-chan struct{}) bool {
	stopped := ctx.Done()
	for {
		select {
		case <-abort:
			return true
		case <-ran:
			return false
		case <-stopped:
			stopped = nil
		case <-r.waits:
		}
		if ctx.Err() != nil && r.waiting() {
			return true
		}
	}
}

// waiting reports whether an attempt has failed and the next is not due yet.
func (r *onceRun) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.result.Attempts)
	if n == 0 {
		return false
	}
	last := r.result.Attempts[n-1]
	return time.Since(last.Ended) < last.Delay
}

// onceSink notes what is sent, and sends it on where there is somewhere to send it to.
type onceSink struct {
	run  *onceRun
	name string
	to   config.Route
	next ergon.Sink // nil for nowhere
}

// Send is called again with the same transaction by each attempt.
func (s *onceSink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	i := s.run.sent(s, tx)
	if s.next == nil {
		done(nil)
		return
	}
	s.next.Send(ctx, tx, func(err error) {
		s.run.mu.Lock()
		out := &s.run.result.Outputs[i]
		out.Stored, out.Err = out.Stored || err == nil, err
		s.run.mu.Unlock()
		done(err)
	})
}

// Close closes what it sends to.
func (s *onceSink) Close(ctx context.Context) error {
	if s.next == nil {
		return nil
	}
	return s.next.Close(ctx)
}

func (r *onceRun) sent(s *onceSink, tx ergon.Raw) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := &r.result.Outputs
	key := outputKey{s.name, tx.ID()}
	if i, ok := r.places[key]; ok {
		return i
	}
	out := OnceOutput{Raw: tx, Route: s.name}
	switch {
	case s.to.JetStream != nil:
		out.Stream, out.Subject = s.to.JetStream.Stream, s.to.JetStream.Subject
	case s.to.HTTP != nil:
		out.Target = s.to.HTTP.String()
	}
	*all = append(*all, out)
	r.places[key] = len(*all) - 1
	return r.places[key]
}

// telling notes what the stream says of the outputs of a route that it has.
func (r *onceRun) telling(route string) func(ergon.Raw, bool) {
	return func(tx ergon.Raw, duplicate bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if i, ok := r.places[outputKey{route, tx.ID()}]; ok {
			r.result.Outputs[i].Duplicate = duplicate
		}
	}
}
