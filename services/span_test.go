package services_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
)

// A call is a span below its caller's, by the caller's provider, and says nothing of what
// was asked or why it failed but the category.
func TestSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	ctx, parent := provider.Tracer("test").Start(t.Context(), "process.attempt.1")
	get := seam(t, func(p *policy.Phase) { p.Retry.Backoff = 0 }).Operation("get", services.Idempotent)

	_, err := services.Call(ctx, get, "secret", fails(1, io.EOF))
	require.NoError(t, err)
	_, err = services.Call(ctx, get, "secret", fails(9, io.EOF))
	require.Error(t, err)
	_, err = services.Call(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), get, "secret", fails(0, nil))
	require.NoError(t, err)

	spans := recorder.Ended()
	require.Len(t, spans, 2, "what is sampled out has none")
	for i, s := range spans {
		require.Equal(t, "rates.get", s.Name())
		require.Equal(t, trace.SpanKindClient, s.SpanKind())
		require.Equal(t, parent.SpanContext().SpanID(), s.Parent().SpanID())
		want := []attribute.KeyValue{
			attribute.String("ergon.service", "rates"), attribute.String("ergon.service.operation", "rates.get"),
			attribute.Int("ergon.service.attempts", 2+i),
		}
		if i == 1 {
			want = append(want, attribute.String("error.type", "SYSTEM"))
			require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "SYSTEM"}, s.Status())
		}
		require.Equal(t, want, s.Attributes())
	}
}
