package telemetry

import (
	"context"
	"fmt"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func (b *builder) metrics(ctx context.Context) error {
	options := []sdkmetric.Option{sdkmetric.WithResource(b.whose)}
	if err := b.counted(); err != nil {
		return err
	}
	for _, r := range b.Readers {
		options = append(options, sdkmetric.WithReader(r))
	}
	var g *gate
	if b.settings.metrics.kind != exporterNone {
		made, err := b.settings.metrics.metrics(ctx, b.Console, b.histogram == HistogramExponential)
		if err != nil {
			return fmt.Errorf("telemetry.metrics: %w", err)
		}
		g = b.gate(metrics, b.settings.metrics, 0)
		periodic := []sdkmetric.PeriodicReaderOption{sdkmetric.WithInterval(b.interval)}
		for _, p := range b.Producers {
			periodic = append(periodic, sdkmetric.WithProducer(producer{p, b.tell}))
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter{made, g}, periodic...)))
	}
	if len(options) == 1 { // one without readers costs, and noop does not
		return nil
	}
	p := sdkmetric.NewMeterProvider(options...)
	b.meters = p
	b.parts = append(b.parts, part{g, p.Shutdown})
	return RuntimeMetrics(p)
}

// counted has what engines and services count collected with the rest.
func (b *builder) counted() error {
	m := NewMetrics(MetricsOptions{Source: b.Engines, Services: b.Services, Failures: b.Telemetry.Failures, Lost: b.Telemetry.Lost, Histogram: b.histogram})
	b.Producers = append(b.Producers[:len(b.Producers):len(b.Producers)], m)
	if !b.Prometheus {
		return nil
	}
	reader, handler, err := m.Prometheus()
	if err != nil {
		return err
	}
	b.Readers = append(b.Readers[:len(b.Readers):len(b.Readers)], reader)
	b.scrape = handler
	return nil
}
