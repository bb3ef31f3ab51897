package telemetry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/meter"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/telemetry"
)

// collected is what a reader got: series by name and, after a space each, the values
// of the attributes but the task.
type collected struct {
	metrics          []metricdata.Metrics
	counters, gauges map[string]int64
	histograms       map[string]counted
	since            time.Time // of the last counter
}

type counted struct {
	count uint64
	sum   float64
}

// collectFrom reads a producer as an exporter does.
func collectFrom(t testing.TB, p sdkmetric.Producer) collected {
	t.Helper()
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(p))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.NoError(t, provider.Shutdown(t.Context()))
	c := collected{counters: map[string]int64{}, gauges: map[string]int64{}, histograms: map[string]counted{}}
	if len(all.ScopeMetrics) == 0 {
		return c
	}
	require.Len(t, all.ScopeMetrics, 1)
	require.Equal(t, "github.com/ergon-framework/ergon", all.ScopeMetrics[0].Scope.Name)
	c.metrics = all.ScopeMetrics[0].Metrics
	for _, m := range c.metrics {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			require.True(t, data.IsMonotonic)
			require.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
			for _, p := range data.DataPoints {
				put(t, c.counters, m.Name, p.Attributes, p.Value)
				c.since = p.StartTime
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				put(t, c.gauges, m.Name, p.Attributes, p.Value)
			}
		case metricdata.Histogram[float64]:
			require.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
			for _, p := range data.DataPoints {
				require.Equal(t, p.Count, total(p.BucketCounts))
				put(t, c.histograms, m.Name, p.Attributes, counted{p.Count, p.Sum})
			}
		case metricdata.ExponentialHistogram[float64]:
			require.Equal(t, metricdata.CumulativeTemporality, data.Temporality)
			for _, p := range data.DataPoints {
				require.Equal(t, p.Count, p.ZeroCount+total(p.PositiveBucket.Counts))
				put(t, c.histograms, m.Name, p.Attributes, counted{p.Count, p.Sum})
			}
		default:
			t.Errorf("%s is a %T", m.Name, data)
		}
	}
	return c
}

func put[V any](t testing.TB, into map[string]V, name string, attrs attribute.Set, v V) {
	t.Helper()
	key := name
	for _, a := range []string{semconv.AttrOutcome, semconv.AttrPhase, semconv.AttrErrorType, semconv.AttrLimit, semconv.AttrSignal, semconv.AttrService, semconv.AttrOperation} {
		if value, ok := attrs.Value(attribute.Key(a)); ok {
			key += " " + value.AsString()
		}
	}
	require.NotContains(t, into, key, "a series came twice")
	into[key] = v
}

func total(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

var since = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// everything is a snapshot in which all has happened that can.
func everything(task string) engine.Metrics {
	h := engine.Histogram{
		Count: 6, Sum: 1.5, Bounds: []float64{0.1, 1}, Counts: []uint64{1, 2, 3},
		Fine: []uint64{0, 0, 2, 0, 3, 0}, Scale: 3, Offset: -160, Zero: 1, ZeroThreshold: 1e-6,
	}
	m := engine.Metrics{
		Task: task, Connector: "memory", Since: since, Started: 100, Outputs: 200, Stuck: 1,
		Batch: engine.Histogram{Count: 3, Sum: 12, Bounds: []float64{1, 10}, Counts: []uint64{1, 1, 1}},
		Empty: 4, Redelivered: 5, LeasesLost: 6, SettleFailed: 7, Restarts: 8, Ready: true,
		Limits: []engine.LimitMetrics{{Name: "slots", Used: 3, Max: 8}, {Name: "window", Used: 10, Max: 1024}},
		Lag:    ergon.Lag{Pending: 11, InFlight: 12, Parked: 13, At: since},
	}
	for _, o := range outcomes {
		t := engine.TransactionMetrics{Outcome: o, Count: 10, Drained: 1, Duration: h}
		if o == engine.Dead {
			t.Failed = map[ergon.Category]int64{ergon.CategoryBusiness: 5, ergon.CategorySystem: 3, ergon.CategoryTimeout: 2}
		}
		m.Transactions = append(m.Transactions, t)
	}
	for _, p := range phases {
		for _, c := range categories {
			m.DeadLetters = append(m.DeadLetters, engine.DeadMetrics{Phase: p, Category: c, Count: 1})
		}
		if p == ergon.PhaseDecode {
			continue
		}
		of := engine.PhaseMetrics{Phase: p, Running: 1, Retries: 2, Backoff: h, Breaker: true, Open: p == ergon.PhaseProcess}
		for _, c := range append([]ergon.Category{""}, categories...) {
			of.Results = append(of.Results, engine.ResultMetrics{Category: c, Attempts: 9, Duration: h})
		}
		m.Phases = append(m.Phases, of)
		if p != ergon.PhaseFetch {
			m.Limits = append(m.Limits, engine.LimitMetrics{Name: string(p), Used: 1, Max: 2})
		}
	}
	return m
}

var (
	outcomes   = []engine.Outcome{engine.Succeeded, engine.Dead, engine.Deferred, engine.Released, engine.Lost, engine.Merged, engine.Abandoned}
	phases     = []ergon.Phase{ergon.PhaseFetch, ergon.PhaseDecode, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess, ergon.PhaseException}
	categories = []ergon.Category{ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}
)

// everyCall is a snapshot of a service to which all has happened that can.
func everyCall(service string) services.Metrics {
	took := &meter.Snapshot{Count: 6, Sum: 1500 * time.Millisecond, Zero: 1}
	took.Fine[2], took.Fine[4] = 2, 3
	took.Coarse[0], took.Coarse[1], took.Coarse[2] = 1, 2, 3
	o := services.OperationMetrics{Name: service + ".get", Running: 1, Retries: 2, Rejected: 3}
	for _, c := range append([]ergon.Category{""}, categories...) {
		o.Calls = append(o.Calls, services.CallMetrics{Category: c, Duration: took})
	}
	return services.Metrics{Service: service, Since: since, HasBreaker: true, Open: true, Opened: 4, Operations: []services.OperationMetrics{o}}
}

func metricsOf(kind telemetry.HistogramKind, all ...engine.Metrics) *telemetry.Metrics {
	return telemetry.NewMetrics(telemetry.MetricsOptions{
		Source:    func() []engine.Metrics { return all },
		Services:  func() []services.Metrics { return []services.Metrics{everyCall("rates")} },
		Failures:  func() map[string]int64 { return map[string]int64{"traces": 1, "metrics": 0, "logs": 2} },
		Lost:      func() map[string]int64 { return map[string]int64{"traces": 512, "metrics": 0, "logs": 9} },
		Histogram: kind,
	})
}
