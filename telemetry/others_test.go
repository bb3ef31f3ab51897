package telemetry_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// Spans of others stand below the attempt that they were begun in, and are sampled as
// its transaction is.
func TestSpansOfOthers(t *testing.T) {
	for sampler, want := range map[string]int{"always_on": 2, "always_off": 0} {
		c := collect(t)
		tel := start(t, telemetry.Config{
			OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Traces: telemetry.TracesConfig{Sampler: sampler},
		}, nil)
		queue := memory.NewQueue(memory.QueueOptions{})
		queue.Push(ergon.New([]byte(`"x"`), ergon.WithID("tx-1")))
		p := policy.DefaultConsumer()
		p.Loop.Streaming = false
		e, err := engine.New(engine.Config{
			Task: engine.Consume("score", task{process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
				_, span := tel.TracerProvider().Tracer("mine").Start(ctx, "lookup")
				span.End()
				// Whoever was given no provider finds it in the context.
				_, span = trace.SpanFromContext(ctx).TracerProvider().Tracer("mine").Start(ctx, "lookup")
				span.End()
				return "", nil
			}}),
			Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{})}, Policy: p, Tracer: tel.Tracer(),
		})
		require.NoError(t, err)
		_, err = e.Run(t.Context())
		require.NoError(t, err)
		require.NoError(t, tel.Shutdown(t.Context()))
		var attempt, lookup []byte
		found := 0
		for _, s := range c.spans {
			switch s.GetName() {
			case "process.attempt.1":
				attempt = s.GetSpanId()
			case "lookup":
				found, lookup = found+1, s.GetParentSpanId()
			}
		}
		require.Equal(t, want, found, sampler)
		require.Equal(t, attempt, lookup, sampler)
	}
}
