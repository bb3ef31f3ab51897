package telemetry

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/services"
)

// HistogramKind is which buckets durations are shown in. The zero value is
// HistogramExplicit.
type HistogramKind int

// The kinds. Sizes are shown in fixed buckets by either.
const (
	// HistogramExplicit shows buckets with fixed bounds, from 10 µs to 5 minutes.
	HistogramExplicit HistogramKind = iota
	// HistogramExponential shows eight buckets per power of two, from a microsecond to
	// an hour, and leaves out the empty ones at both ends. Not every receiver reads
	// them: Prometheus has to be told to take native histograms.
	HistogramExponential
)

// ParseHistogramKind reads a kind as the variable
// OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION names it:
// explicit_bucket_histogram, which an empty name is too, or
// base2_exponential_bucket_histogram.
func ParseHistogramKind(name string) (HistogramKind, error) {
	switch name {
	case "", "explicit_bucket_histogram":
		return HistogramExplicit, nil
	case "base2_exponential_bucket_histogram":
		return HistogramExponential, nil
	}
	return 0, fmt.Errorf("there is no histogram %q: choose explicit_bucket_histogram or base2_exponential_bucket_histogram", name)
}

// MetricsOptions is what Metrics are made of.
type MetricsOptions struct {
	// Source returns a snapshot of each engine; no two of one task's name. It is called
	// once per collection, from any goroutine. nil is for no engines.
	Source func() []engine.Metrics
	// Services returns a snapshot of each service's seam, likewise; no two of one name.
	// nil is for no services.
	Services func() []services.Metrics
	// Failures returns how many exports failed, by signal (traces, metrics or logs).
	// nil leaves that metric out.
	Failures func() map[string]int64
	// Lost returns how much was not exported, likewise.
	Lost func() map[string]int64
	// Histogram is which buckets durations are shown in.
	Histogram HistogramKind
}

// Metrics turns what engines and services count into OpenTelemetry's metrics. It is a Producer for
// any Reader (sdkmetric.WithProducer), and may be used by many at once: there are no
// instruments, so nothing is paid for it until somebody collects.
//
// All sums and histograms are cumulative since Since of their snapshot. A Reader passes
// on what a Producer gives as it is, so that stays so where delta temporality is
// preferred (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE).
//
// A series by what went wrong is there from the first time on. What does well, what
// succeeded or is dead, and each phase's retries and timeouts are there from the
// beginning, so that a rate over them sees the first one too.
type Metrics struct {
	cfg  MetricsOptions
	made time.Time // failures are counted since
}

var _ sdkmetric.Producer = (*Metrics)(nil)

// NewMetrics returns metrics that read from cfg's functions.
func NewMetrics(cfg MetricsOptions) *Metrics {
	return &Metrics{cfg: cfg, made: time.Now()}
}

// Produce returns all metrics as they are now, in one scope. Those without a series
// are left out.
func (m *Metrics) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	var engines []engine.Metrics
	if m.cfg.Source != nil {
		engines = m.cfg.Source()
	}
	c := collection{now: time.Now(), kind: m.cfg.Histogram, engines: engines}
	for _, r := range readings {
		c.read(r)
	}
	if m.cfg.Services != nil {
		c.services(m.cfg.Services())
	}
	if m.cfg.Failures != nil {
		c.bySignal(semconv.MetricExportFailures, m.cfg.Failures(), m.made)
	}
	if m.cfg.Lost != nil {
		c.bySignal(semconv.MetricTelemetryLost, m.cfg.Lost(), m.made)
	}
	if len(c.metrics) == 0 {
		return nil, nil
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: c.metrics}}, nil
}
