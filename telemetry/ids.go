package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// presetIDs gives spans the IDs that they were promised under: those that outputs
// carry on and that spans of services have as their parent.
type presetIDs struct{}

type presetKey struct{}

type preset struct {
	trace trace.TraceID
	span  trace.SpanID
}

// withIDs returns a context in which the next span gets these IDs.
func withIDs(ctx context.Context, traceID trace.TraceID, span trace.SpanID) context.Context {
	return context.WithValue(ctx, presetKey{}, preset{traceID, span})
}

// NewIDs is asked for a span without a parent.
func (presetIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	p, _ := ctx.Value(presetKey{}).(preset)
	return p.trace, p.id()
}

// NewSpanID is asked for a span with a parent.
func (presetIDs) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	p, _ := ctx.Value(presetKey{}).(preset)
	return p.id()
}

func (p preset) id() trace.SpanID {
	if !p.span.IsValid() {
		return trace.SpanID(newSpanID())
	}
	return p.span
}
