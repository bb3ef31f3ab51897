package peers

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What OpenTelemetry's own SDK sends is read from the files as it was sent: what the
// other tests miss, Ergon did not send.
func TestCollectorKeepsWhatIsSent(t *testing.T) {
	c := startCollector(t)
	endpoint := "http://" + c.grpc

	traces, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpointURL(endpoint))
	require.NoError(t, err)
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(traces))
	ctx, parent := tp.Tracer("emitter").Start(t.Context(), "parent")
	_, child := tp.Tracer("emitter").Start(ctx, "child")

	logs, err := otlploggrpc.New(t.Context(), otlploggrpc.WithEndpointURL(endpoint))
	require.NoError(t, err)
	lp := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	var r log.Record
	r.SetBody(attribute.StringValue("said"))
	r.AddAttributes(attribute.String("k", "v"))
	lp.Logger("emitter").Emit(ctx, r)

	metrics, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpointURL(endpoint))
	require.NoError(t, err)
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics)))
	counter, err := mp.Meter("emitter").Int64Counter("done")
	require.NoError(t, err)
	counter.Add(ctx, 3, metric.WithAttributes(attribute.String("a", "1"), attribute.String("b", "x")))
	counter.Add(ctx, 4, metric.WithAttributes(attribute.String("a", "2"), attribute.String("b", "x")))
	require.NoError(t, mp.ForceFlush(t.Context()))
	counter.Add(ctx, 1, metric.WithAttributes(attribute.String("a", "2"), attribute.String("b", "x")))

	child.End()
	parent.End()
	require.NoError(t, tp.Shutdown(t.Context()))
	require.NoError(t, lp.Shutdown(t.Context()))
	require.NoError(t, mp.Shutdown(t.Context()))

	tree := c.trace(t, parent.SpanContext().TraceID().String())
	require.Len(t, tree, 2)
	byName := named(t, tree)
	require.Equal(t, byName["parent"].SpanID(), byName["child"].ParentSpanID())
	require.Equal(t, "emitter", byName["child"].scope)
	require.NotEmpty(t, text(byName["child"].resource, "service.name"))

	records := c.records(t)
	require.Len(t, records, 1)
	require.Equal(t, "said", records[0].Body().AsString())
	require.Equal(t, "v", records[0].attr("k"))
	require.Equal(t, parent.SpanContext().TraceID().String(), records[0].TraceID().String())
	require.Equal(t, parent.SpanContext().SpanID().String(), records[0].SpanID().String())

	series := c.series(t)
	require.Equal(t, map[string]float64{"done{a=1,b=x}": 3, "done{a=2,b=x}": 5}, series)
	require.Equal(t, 8.0, sum(series, "done", "b=x"))
	require.Equal(t, 5.0, sum(series, "done", "a=2", "b=x"))
	require.Zero(t, sum(series, "done", "b=y"))
	c.stop(t)
}

// named are spans by their names, of which none comes twice.
func named(t *testing.T, spans []span) map[string]span {
	t.Helper()
	out := map[string]span{}
	for _, s := range spans {
		require.NotContains(t, out, s.Name(), "a span came twice")
		out[s.Name()] = s
	}
	return out
}
