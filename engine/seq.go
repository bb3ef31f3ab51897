package engine

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/ergon-framework/ergon"
)

// Result is what became of one transaction of a sequence.
type Result struct {
	ID      string
	Outcome Outcome
	// Err is why, for Dead.
	Err *ergon.Error
	// HandlerErr is what the exception hook failed with. There is no further
	// fallback (RFC-005 §9).
	HandlerErr error
}

// SeqReport is what a run over a sequence did.
type SeqReport struct {
	Report
	// Results has one entry for each transaction that was taken from the
	// sequence, in its order.
	Results []Result
}

// RunSeq runs a task over a sequence instead of a source, and returns when the
// sequence has ended and everything taken from it has, at the limit or a
// timeout, or when ctx ends. The sequence is pulled as places become free, from
// one goroutine: a sequence that blocks holds up a stop too.
//
// Payloads are encoded with the task's first codec and decoded for each attempt,
// so an attempt changes nothing that the caller or the next one sees; a []byte is taken
// as what stands on the wire, with the content type of its transaction. There is no
// dead-letter store: a transaction that failed for good is in the results with
// its error, and one that was not finished is Released.
//
// c.Source must be nil. The error is Run's, or the sequence's own panic.
func RunSeq[In any](ctx context.Context, c Config, seq iter.Seq[ergon.Transaction[In]]) (SeqReport, error) {
	if c.Source != nil {
		return SeqReport{}, fmt.Errorf("task %q: a sequence takes the place of its source: leave Source nil", c.Task.name)
	}
	source := &seqSource[In]{settled: make(chan struct{}, 1), codec: c.Task.codec}
	source.next, source.stop = iter.Pull(seq)
	c.Source = source
	c.Policy.Loop.Streaming = false // whatever it says: a sequence that has ended brings nothing more
	if c.Connector == "" {
		c.Connector = "sequence"
	}
	e, err := New(c)
	if err != nil {
		source.stop()
		return SeqReport{}, err
	}
	report, err := e.Run(ctx)
	source.mu.Lock()
	defer source.mu.Unlock()
	return SeqReport{Report: report, Results: source.results}, err
}

// seqSource is a Source over a sequence.
type seqSource[In any] struct {
	next  func() (ergon.Transaction[In], bool)
	stop  func()
	codec ergon.Codec

	mu      sync.Mutex
	results []Result
	open    int   // taken and not settled
	ended   bool  // the sequence has
	failed  error // it panicked
	settled chan struct{}
}

var _ ergon.Source = (*seqSource[any])(nil)

// Fetch pulls up to max transactions.
func (s *seqSource[In]) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	var taken []ergon.Delivery
	for len(taken) < max && ctx.Err() == nil {
		tx, ok, err := s.pull()
		if err == nil && ok && !tx.Valid() {
			err = ergon.Business("the sequence: transaction %d has no ID: make it with ergon.New", len(s.results)+1)
		}
		if err != nil || !ok {
			// Deliveries and an error are never returned together: the error stays
			// for the next fetch.
			s.ended, s.failed = true, err
			break
		}
		taken = append(taken, s.deliver(tx))
	}
	switch {
	case len(taken) > 0:
		return taken, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case s.failed != nil:
		return nil, s.failed
	}
	return nil, s.drained(ctx)
}

// pull contains the panic of the caller's sequence. It is final: a sequence that
// panicked has no next.
func (s *seqSource[In]) pull() (tx ergon.Transaction[In], ok bool, err error) {
	defer func() {
		if err != nil {
			err = ergon.Business("the sequence: %w", err)
		}
	}()
	defer ergon.Recover(&err)
	if s.ended {
		return tx, false, s.failed
	}
	tx, ok = s.next()
	return tx, ok, nil
}

// drained waits for what is out: it may come back while it is retried.
func (s *seqSource[In]) drained(ctx context.Context) error {
	for {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		if open == 0 {
			return ergon.ErrDrained
		}
		select {
		case <-s.settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliver encodes a transaction. One that can't be encoded is delivered all the
// same, as bytes that don't decode: its hook runs, and its result says why.
func (s *seqSource[In]) deliver(tx ergon.Transaction[In]) ergon.Delivery {
	out, err := encode(s.codec, tx.Payload())
	if err != nil {
		out.payload = nil
	}
	e := tx.Envelope()
	if _, raw := any(tx.Payload()).([]byte); !raw { // whose bytes are what its content type says already
		e.ContentType = out.contentType
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.results = append(s.results, Result{ID: e.ID, Outcome: Released})
	return &seqDelivery[In]{s: s, i: len(s.results) - 1, raw: ergon.Make(e, out.payload)}
}

// Close ends the sequence.
func (s *seqSource[In]) Close(context.Context) error {
	s.stop()
	return nil
}

type seqDelivery[In any] struct {
	s   *seqSource[In]
	i   int // of the results
	raw ergon.Raw
}

func (d *seqDelivery[In]) Transaction() ergon.Raw       { return d.raw }
func (d *seqDelivery[In]) Info() ergon.DeliveryInfo     { return ergon.DeliveryInfo{Deliveries: 1} }
func (d *seqDelivery[In]) Extend(context.Context) error { return nil }

// Settle notes the result.
func (d *seqDelivery[In]) Settle(settlement ergon.Settlement, done func(error)) {
	d.s.mu.Lock()
	r := &d.s.results[d.i]
	switch settlement.Kind {
	case ergon.Ack:
		r.Outcome = Succeeded
	case ergon.Dead:
		r.Outcome, r.Err, r.HandlerErr = Dead, settlement.Err, settlement.Dead.HandlerErr
	case ergon.Release, ergon.Retry:
		r.Outcome = Released
	}
	d.s.open--
	d.s.mu.Unlock()
	select {
	case d.s.settled <- struct{}{}:
	default:
	}
	done(nil)
}
