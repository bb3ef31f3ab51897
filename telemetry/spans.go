package telemetry

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otelsem "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// End makes the spans of a transaction: itself, its phases, their attempts. All of
// them are sampled by now, also those of one that was not and failed for good.
func (b *tracing) End(r engine.TraceRecord) {
	began := r.Began
	if !r.Fetch.Ended.IsZero() {
		began = r.Fetch.Ended // it is ours from then on, though nothing may run yet
	}
	if began.IsZero() {
		began = r.Ended
	}
	s := &story{Context: context.Background(), tracer: b.t.otel, of: b.t, policy: b.t.policyAttributes(r), id: b.tx.ID()}
	s.next.trace = b.id()
	var ctx context.Context = s
	var links []trace.Link
	switch {
	case b.parent && b.t.cfg.Link:
		links = []trace.Link{{SpanContext: b.came(b.linked)}}
	case b.parent:
		ctx = trace.ContextWithRemoteSpanContext(ctx, b.came(b.id()))
	}
	ctx, root := s.begin(ctx, semconv.SpanTransaction, consumer, b.root, began, links...)
	root.SetAttributes(transactionAttributes(r, b.t.where)...)
	s.fetch(ctx, r)
	for rest := r.Attempts; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Phase == rest[0].Phase {
			n++
		}
		s.phase(ctx, semconvPhase(rest[0].Phase), rest[:n])
		rest = rest[n:]
	}
	fail(root, errorOf(r), r.Ended)
	s.end(root, r.Ended)
}

// came is the span that the transaction came with.
func (b *tracing) came(id [16]byte) trace.SpanContext {
	var flags trace.TraceFlags
	state, err := trace.ParseTraceState(b.state)
	if err != nil {
		state = trace.TraceState{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: b.parentSpan, TraceFlags: flags.WithSampled(b.parentSampled), TraceState: state, Remote: true,
	})
}

func (s *story) fetch(ctx context.Context, r engine.TraceRecord) {
	f := r.Fetch
	if f.Ended.IsZero() {
		return
	}
	last := f.Began
	if n := len(f.Attempts); n > 0 {
		last = f.Attempts[n-1].Ended.Add(f.Attempts[n-1].Delay)
	}
	attempts := append(f.Attempts[:len(f.Attempts):len(f.Attempts)], engine.AttemptRecord{
		Phase: ergon.PhaseFetch, Attempt: len(f.Attempts) + 1, Began: last, Ended: f.Ended,
	})
	s.phase(ctx, semconv.SpanFetch, attempts,
		otelsem.MessagingOperationName("fetch"), otelsem.MessagingOperationTypeReceive, otelsem.MessagingBatchMessageCount(f.Count))
}

func semconvPhase(p ergon.Phase) string {
	switch p {
	case ergon.PhaseProduce:
		return semconv.SpanProduce
	case ergon.PhaseSuccess:
		return semconv.SpanSuccess
	case ergon.PhaseException:
		return semconv.SpanException
	}
	return semconv.SpanProcess
}

func (s *story) phase(ctx context.Context, name string, attempts []engine.AttemptRecord, attrs ...attribute.KeyValue) {
	last := attempts[len(attempts)-1]
	var kind trace.SpanStartOption // none is internal
	switch name {
	case semconv.SpanProduce:
		kind = producing
		attrs = append(s.of.system, otelsem.MessagingOperationName("send"), otelsem.MessagingOperationTypeSend)
	case semconv.SpanFetch:
		attrs = append(attrs, s.of.where...)
	}
	ctx, span := s.begin(ctx, name, kind, engine.SpanID{}, attempts[0].Began)
	if len(attrs) > 0 {
		span.SetAttributes(attrs...)
	}
	for i := range attempts {
		a := &attempts[i]
		s.attempt(ctx, name, a)
		if a.Delay > 0 {
			span.AddEvent(semconv.EventRetry, trace.WithTimestamp(a.Ended), trace.WithAttributes(
				attribute.Int(semconv.AttrAttempt, a.Attempt+1), attribute.Float64(semconv.AttrDelay, a.Delay.Seconds())))
		}
	}
	fail(span, last.Err, time.Time{}) // its attempt has told it
	s.end(span, last.Ended)
}

func (s *story) attempt(ctx context.Context, phase string, a *engine.AttemptRecord) {
	_, span := s.begin(ctx, attemptName(phase, a.Attempt), nil, a.Span, a.Began)
	// In one call: each makes the span's room anew.
	attrs := append(append(s.attrs[:0], s.policy.phases[a.Phase]...), attribute.String(semconv.AttrTransactionID, s.id), attribute.Int(semconv.AttrAttempt, a.Attempt))
	if a.MaxAttempts > 0 {
		attrs = append(attrs, attribute.Int(semconv.AttrMaxAttempts, a.MaxAttempts))
	}
	span.SetAttributes(attrs...)
	fail(span, a.Err, a.Ended)
	s.end(span, a.Ended)
}

// fail says of a span that it failed, and why; with a time also as an event. The
// reason is one line and holds what the task says of it; payloads are no part of it.
func fail(span trace.Span, err error, at time.Time) {
	if err == nil {
		return
	}
	category := ergon.CategoryOf(err)
	span.SetStatus(codes.Error, err.Error())
	span.SetAttributes(otelsem.ErrorTypeKey.String(string(category)), attribute.String(semconv.AttrCategory, string(category)))
	if at.IsZero() {
		return
	}
	options := []trace.EventOption{trace.WithTimestamp(at)}
	if p, ok := errors.AsType[*ergon.PanicError](err); ok {
		options = append(options, trace.WithAttributes(otelsem.ExceptionStacktrace(string(p.Stack))))
	}
	span.RecordError(err, options...)
}

func errorOf(r engine.TraceRecord) error {
	if r.Err == nil { // a nil *Error in an error is not nil
		return nil
	}
	return r.Err
}

func transactionAttributes(r engine.TraceRecord, where []attribute.KeyValue) []attribute.KeyValue {
	tx := r.Transaction
	attrs := append(make([]attribute.KeyValue, 0, 24),
		attribute.String(semconv.AttrTask, r.Task),
		attribute.String(semconv.AttrTransactionID, tx.ID()),
		attribute.String(semconv.AttrSource, tx.Source()),
		attribute.String(semconv.AttrOutcome, string(r.Outcome)),
		attribute.Int(semconv.AttrOutputs, r.Outputs),
		attribute.Int(semconv.AttrTransactionAttempt, max(r.Info.Attempt, 1)),
		otelsem.MessagingMessageID(tx.ID()),
		otelsem.MessagingOperationName("process"), otelsem.MessagingOperationTypeProcess,
		otelsem.MessagingMessageBodySize(len(tx.Payload())),
	)
	attrs = append(attrs, where...)
	if id := tx.CorrelationID(); id != tx.ID() {
		attrs = append(attrs, attribute.String(semconv.AttrCorrelationID, id), otelsem.MessagingMessageConversationID(id))
	}
	if p := r.Policy; p != nil {
		attrs = append(attrs, attribute.Int(semconv.AttrConcurrency, p.Loop.Concurrency), attribute.Int(semconv.AttrWindow, p.Loop.Window))
	}
	if r.Connector != "" {
		attrs = append(attrs, attribute.String(semconv.AttrConnector, r.Connector))
	}
	if r.Info.Deliveries > 0 {
		attrs = append(attrs, attribute.Int(semconv.AttrDelivery, r.Info.Deliveries))
	}
	if r.HandlerErr != nil {
		attrs = append(attrs, attribute.String(semconv.AttrHandlerError, r.HandlerErr.Error()))
	}
	return attrs
}
