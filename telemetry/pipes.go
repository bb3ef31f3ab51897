package telemetry

import (
	"context"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The SDK's parts, each with its signal's gate before it.

// spanQueue is a span processor behind which no more than the gate admits wait.
type spanQueue struct {
	sdktrace.SpanProcessor
	gate *gate
}

func (q spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if q.gate.admit() {
		q.SpanProcessor.OnEnd(s)
	}
}

type spanExporter struct {
	made[sdktrace.SpanExporter]
	gate *gate
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.gate.export(ctx, len(spans), func(ctx context.Context) error { return e.exporter.ExportSpans(ctx, spans) })
}

func (e spanExporter) Shutdown(ctx context.Context) error {
	defer e.leave()
	return e.exporter.Shutdown(ctx)
}

// recordQueue is spanQueue for log records.
type recordQueue struct {
	sdklog.Processor
	gate *gate
}

func (q recordQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !q.gate.admit() {
		return nil
	}
	return q.Processor.OnEmit(ctx, r)
}

type recordExporter struct {
	made[sdklog.Exporter]
	gate *gate
}

func (e recordExporter) Export(ctx context.Context, records []sdklog.Record) error {
	return e.gate.export(ctx, len(records), func(ctx context.Context) error { return e.exporter.Export(ctx, records) })
}

func (e recordExporter) ForceFlush(ctx context.Context) error { return e.exporter.ForceFlush(ctx) }

func (e recordExporter) Shutdown(ctx context.Context) error {
	defer e.leave()
	return e.exporter.Shutdown(ctx)
}

type metricExporter struct {
	made[sdkmetric.Exporter]
	gate *gate
}

func (e metricExporter) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return e.exporter.Temporality(k)
}

func (e metricExporter) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return e.exporter.Aggregation(k)
}

func (e metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	return e.gate.export(ctx, 1, func(ctx context.Context) error { return e.exporter.Export(ctx, rm) })
}

func (e metricExporter) ForceFlush(ctx context.Context) error { return e.exporter.ForceFlush(ctx) }

func (e metricExporter) Shutdown(ctx context.Context) error {
	defer e.leave()
	return e.exporter.Shutdown(ctx)
}

// producer is one whose error costs its own metrics, and not those of all others.
type producer struct {
	sdkmetric.Producer
	tell *complaints
}

func (p producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	out, err := p.Producer.Produce(ctx)
	if err != nil {
		p.tell.complain("metrics could not be collected", string(metrics), err)
	}
	return out, nil
}
