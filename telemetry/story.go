package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// story is the telling of one transaction, span by span, and the context in which it is
// told. What the SDK asks for in pieces of their own for each span, options and their
// lists and attributes, it has once: they were half of what a span cost.
type story struct {
	context.Context
	tracer  trace.Tracer
	of      *Tracer
	policy  *policyAttributes
	id      string // the transaction's
	next    preset
	options [3]trace.SpanStartOption
	ends    [1]trace.SpanEndOption
	attrs   [12]attribute.KeyValue
	times   [2]struct {
		time   time.Time
		option trace.SpanEventOption
	}
	latest int // of times
}

// Value tells the SDK the IDs of the span that begins.
func (s *story) Value(key any) any {
	if _, ok := key.(presetKey); ok {
		return &s.next
	}
	return s.Context.Value(key)
}

// The kinds of spans, as options.
var (
	consumer  trace.SpanStartOption = trace.WithSpanKind(trace.SpanKindConsumer)
	producing trace.SpanStartOption = trace.WithSpanKind(trace.SpanKindProducer)
)

// begin begins a span under id, or any ID if that is zero.
func (s *story) begin(ctx context.Context, name string, kind trace.SpanStartOption, id engine.SpanID, at time.Time, links ...trace.Link) (context.Context, trace.Span) {
	s.next.span = trace.SpanID(id)
	options := append(s.options[:0], s.at(at))
	if kind != nil {
		options = append(options, kind)
	}
	if len(links) > 0 {
		options = append(options, trace.WithLinks(links...))
	}
	return s.tracer.Start(ctx, name, options...)
}

func (s *story) end(span trace.Span, at time.Time) {
	span.End(append(s.ends[:0], s.at(at))...)
}

// at is a time as an option. A phase mostly begins and ends with its only attempt, so
// the last two are kept.
func (s *story) at(t time.Time) trace.SpanEventOption {
	for i := range s.times {
		if kept := &s.times[i]; kept.option != nil && kept.time.Equal(t) {
			return kept.option
		}
	}
	s.latest ^= 1
	kept := &s.times[s.latest]
	kept.time, kept.option = t, trace.WithTimestamp(t)
	return kept.option
}

// firstAttempts are the names of the spans of the first attempts of each phase.
var firstAttempts = func() map[string][]string {
	names := map[string][]string{}
	for _, phase := range []string{semconv.SpanFetch, semconv.SpanProcess, semconv.SpanProduce, semconv.SpanSuccess, semconv.SpanException} {
		for n := 1; n <= 8; n++ {
			names[phase] = append(names[phase], semconv.SpanAttempt(phase, n))
		}
	}
	return names
}()

func attemptName(phase string, n int) string {
	if names := firstAttempts[phase]; n >= 1 && n <= len(names) {
		return names[n-1]
	}
	return semconv.SpanAttempt(phase, n)
}
