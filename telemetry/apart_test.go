package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// R110, R129: of many transactions at once each has its own tree, whole, and no span
// stands in another's; none is left over.
func TestSpansOfManyAreApart(t *testing.T) {
	const many = 200
	exporter := tracetest.NewInMemoryExporter()
	sampler, err := telemetry.ParseSampler("always_on", "")
	require.NoError(t, err)
	queue := memory.NewQueue(memory.QueueOptions{})
	for i := range many {
		queue.Push(ergon.New([]byte(`"x"`), ergon.WithID(fmt.Sprint(i)), ergon.WithSource("test")))
	}
	p := policy.DefaultConsumer()
	p.Loop.Streaming, p.Process.Retry.Backoff = false, 1
	e, err := engine.New(engine.Config{
		Task: engine.Consume("score", task{process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			if ergon.ExecutionOf(ctx).Attempt == 1 && tx.ID() < "5" {
				return "", errors.New("not yet")
			}
			return "", nil
		}}),
		Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{})}, Policy: p,
		Tracer: telemetry.NewTracer(telemetry.TracerConfig{Processor: sdktrace.NewSimpleSpanProcessor(exporter), Sampler: sampler}),
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)

	traces := map[trace.TraceID][]tracetest.SpanStub{}
	for _, s := range exporter.GetSpans() {
		traces[s.SpanContext.TraceID()] = append(traces[s.SpanContext.TraceID()], s)
	}
	require.Len(t, traces, many)
	for _, spans := range traces {
		names, ids, whose := map[trace.SpanID]string{}, map[string]int{}, map[string]bool{}
		for _, s := range spans {
			names[s.SpanContext.SpanID()] = s.Name
			ids[s.Name]++
			if id := attributes(s)["ergon.transaction.id"]; id != "" {
				whose[id] = true
			}
		}
		require.Len(t, whose, 1, "one transaction's alone")
		for _, s := range spans {
			require.Equal(t, 1, ids[s.Name])
			require.Equal(t, s.Name == "transaction", names[s.Parent.SpanID()] == "", "%s is in its tree", s.Name)
		}
		want := 9
		for id := range whose {
			if id < "5" {
				want++ // the second attempt
			}
		}
		require.Len(t, spans, want)
	}
}

// R064: what a task does to the span that it finds changes nothing of the engine's.
func TestATaskCannotTouchTheEnginesSpans(t *testing.T) {
	s := &scene{sampler: "always_on", task: task{process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
		span := trace.SpanFromContext(ctx)
		span.SetName("mine")
		span.SetStatus(codes.Error, "mine")
		span.SetAttributes(attribute.String("ergon.task", "mine"))
		span.AddEvent("mine")
		span.End()
		return tx.Payload(), nil
	}}}
	spans := s.spans(t)
	require.NotContains(t, spans, "mine")
	attempt := spans["process.attempt.1"]
	require.Equal(t, codes.Unset, attempt.Status.Code)
	require.Equal(t, "score", attributes(attempt)["ergon.task"])
	require.Empty(t, attempt.Events)
	require.Equal(t, codes.Unset, spans["transaction"].Status.Code)
}
