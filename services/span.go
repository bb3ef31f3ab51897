package services

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/semconv"
)

const scope = "github.com/ergon-framework/ergon/services"

// startSpan begins a span below the caller's, by the provider that made that one; nil
// where the caller has none, or is sampled out.
func (o *Operation) startSpan(ctx context.Context) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, nil
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, o.name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String(semconv.AttrService, o.seam.name), attribute.String(semconv.AttrOperation, o.name)))
	return ctx, span
}

// endSpan says how the call ended: its category, and never what a request held.
func endSpan(span trace.Span, attempts int, err error) {
	if attempts > 1 {
		span.SetAttributes(attribute.Int(semconv.AttrAttempts, attempts))
	}
	if err != nil {
		category := string(ergon.CategoryOf(err))
		span.SetAttributes(attribute.String(semconv.AttrErrorType, category))
		span.SetStatus(codes.Error, category)
	}
	span.End()
}
