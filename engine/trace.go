package engine

import (
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// Tracer turns transactions into traces; telemetry has the one that speaks
// OpenTelemetry. It is called from many goroutines at once.
//
// Spans are made afterwards, of what the engine noted: a transaction that nobody
// traces costs a decision and no span, and one that failed can still be told in
// full, under the IDs that its outputs carry.
type Tracer interface {
	// Begin decides on the trace of a transaction whose first attempt in this
	// delivery is about to begin.
	Begin(tx ergon.Raw, info ergon.DeliveryInfo) Tracing
}

// Tracing is the trace of one delivery. Value and NewSpan may be called at any
// time, from many goroutines; End is the last call, and comes once at most.
type Tracing interface {
	// Trace is what outputs carry on. It is the same each time.
	Trace() ergon.Trace
	// Sampled reports whether the transaction is told of even if it does well.
	Sampled() bool
	// NewSpan returns the ID of a span that will be told of.
	NewSpan() SpanID
	// Value is asked for a context's values: it answers for a tracing API's current
	// span, which is span or, if that is zero, the transaction's. nil is for every
	// key that it does not know.
	Value(key any, span SpanID) any
	// End tells of the transaction. It is called if it was sampled or failed for good.
	End(TraceRecord)
}

// SpanID names a span within its trace. The zero value is none.
type SpanID [8]byte

// TraceRecord is a transaction as its trace shows it.
type TraceRecord struct {
	Task, Connector string
	Transaction     ergon.Raw
	Info            ergon.DeliveryInfo
	Began, Ended    time.Time
	Fetch           FetchRecord
	// Attempts are those of all phases, in their order.
	Attempts []AttemptRecord
	Outcome  Outcome
	// Err is why it failed for good, HandlerErr what its exception handler returned.
	Err        *ergon.Error
	HandlerErr error
	Outputs    int // confirmed
	// Policy is what it ran under, in the consumer's form for a producer too. It must
	// not be changed.
	Policy *policy.Consumer
}

// FetchRecord is the fetch that brought a delivery.
type FetchRecord struct {
	Began, Ended time.Time
	Count        int // deliveries that it brought
	// Attempts are those that failed before.
	Attempts []AttemptRecord
}

// AttemptRecord is one attempt of one phase.
type AttemptRecord struct {
	Phase        ergon.Phase
	Attempt      int // 1 for the first
	MaxAttempts  int
	Began, Ended time.Time
	Err          error
	// Span is the ID that the attempt's context told.
	Span SpanID
	// Delay is the wait that follows, 0 for none.
	Delay time.Duration
}

// failed notes an attempt of a fetch that failed; the next begins after delay.
func (r *FetchRecord) failed(n, most int, began *time.Time, err error, delay time.Duration) {
	if r == nil {
		return
	}
	now := time.Now()
	r.Attempts = append(r.Attempts, AttemptRecord{
		Phase: ergon.PhaseFetch, Attempt: n, MaxAttempts: most, Began: *began, Ended: now, Err: err, Delay: delay,
	})
	*began = now.Add(delay)
}

// note adds an attempt to what is told of the flight. One that does well and is not
// sampled keeps no notes; what it did before it first failed is made up for then,
// of the few times that it has anyway.
func (f *flight) note(a AttemptRecord) {
	if f.notes == nil {
		if a.Err == nil && (f.tracing == nil || !f.tracing.Sampled()) {
			return
		}
		f.notes = &notes{}
		f.catchUp(a.Began)
	}
	f.notes.attempts = append(f.notes.attempts, a)
}

// newSpan names the attempt that begins, if it is told of for sure.
func (f *flight) newSpan() SpanID {
	f.span = SpanID{}
	if f.tracing != nil && f.tracing.Sampled() {
		f.span = f.tracing.NewSpan()
	}
	return f.span
}

// traced answers for a context's key of a tracing API.
func (f *flight) traced(key any, span SpanID) any {
	if f.tracing == nil {
		return nil
	}
	return f.tracing.Value(key, span)
}

// notes are kept of a flight that is told of.
type notes struct {
	attempts []AttemptRecord
}

// catchUp notes the attempts that did well before the one that begins: one of each
// phase, since a second would follow a failure, and that was noted.
func (f *flight) catchUp(now time.Time) {
	n := max(f.info.Attempt, 1) // of the phase that it began with here: it may have been parked
	begun := func(step step, began, ended time.Time) {
		f.notes.attempts = append(f.notes.attempts, AttemptRecord{
			Phase: step.phase(), Attempt: n, MaxAttempts: f.e.phases[step].MaxAttempts(), Began: began, Ended: ended,
		})
		n = 1
	}
	sentAt := now
	if b := f.box(); b != nil && !b.sentAt.IsZero() {
		sentAt = b.sentAt
	}
	if f.step > stepProcess && !f.e.task.producer {
		begun(stepProcess, f.began, sentAt)
	}
	if f.step > stepProduce && len(f.box().outputs()) > 0 {
		begun(stepProduce, sentAt, now)
	}
}

// delayed notes the wait that follows the latest attempt.
func (f *flight) delayed(d time.Duration) {
	if f.notes != nil && len(f.notes.attempts) > 0 {
		f.notes.attempts[len(f.notes.attempts)-1].Delay = d
	}
}

// endTrace tells of a flight that is sampled or failed for good, and remembers one
// that did not simply do well.
func (f *flight) endTrace(outcome Outcome) {
	trace := f.tracing != nil && (f.tracing.Sampled() || outcome == Dead)
	remember := f.e.trail != nil && (f.notes != nil && f.troubled() || outcome != Succeeded && outcome != Merged)
	if !trace && !remember {
		return
	}
	r := TraceRecord{
		Task: f.e.task.name, Connector: f.e.connector, Transaction: f.raw, Info: f.info,
		Began: f.began, Ended: time.Now(), Outcome: outcome, Outputs: f.box().confirmed(),
		Policy: &f.e.policy,
	}
	if f.fetched != nil {
		r.Fetch = *f.fetched
	}
	if f.notes != nil {
		r.Attempts = f.notes.attempts
	}
	if t := f.trouble; t != nil {
		r.Err, r.HandlerErr = t.err, t.handlerErr
	}
	if remember {
		f.e.trail.add(r)
	}
	if trace {
		f.tracing.End(r)
	}
}

// troubled reports whether an attempt failed.
func (f *flight) troubled() bool {
	for i := range f.notes.attempts {
		if f.notes.attempts[i].Err != nil {
			return true
		}
	}
	return false
}
