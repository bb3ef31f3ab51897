package telemetry_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
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
	for _, a := range []string{semconv.AttrOutcome, semconv.AttrPhase, semconv.AttrErrorType, semconv.AttrLimit, semconv.AttrSignal} {
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
		Empty: 4, Redelivered: 5, LeasesLost: 6, SettleFailed: 7, Ready: true,
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

func metricsOf(kind telemetry.HistogramKind, all ...engine.Metrics) *telemetry.Metrics {
	return telemetry.NewMetrics(telemetry.MetricsConfig{
		Source:    func() []engine.Metrics { return all },
		Failures:  func() map[string]int64 { return map[string]int64{"traces": 1, "metrics": 0, "logs": 2} },
		Histogram: kind,
	})
}

// Each metric is shown as its table has it, with all its attributes and no others.
func TestMetricsAreWhatTheTableSays(t *testing.T) {
	for _, kind := range []telemetry.HistogramKind{telemetry.HistogramExplicit, telemetry.HistogramExponential} {
		var shown []semconv.Metric
		for _, m := range collectFrom(t, metricsOf(kind, everything("score"))).metrics {
			keys := map[string]bool{}
			of := semconv.Metric{Name: m.Name, Unit: m.Unit, Description: m.Description}
			add := func(set attribute.Set) {
				for _, kv := range set.ToSlice() {
					keys[string(kv.Key)] = true
				}
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				of.Kind = semconv.KindCounter
				for _, p := range data.DataPoints {
					add(p.Attributes)
					require.Equal(t, m.Name != semconv.MetricExportFailures.Name, p.StartTime.Equal(since), m.Name)
				}
			case metricdata.Gauge[int64]:
				of.Kind = semconv.KindGauge
				for _, p := range data.DataPoints {
					add(p.Attributes)
				}
			case metricdata.Histogram[float64]:
				require.True(t, kind == telemetry.HistogramExplicit || m.Unit != "s", m.Name)
				of.Kind = semconv.KindHistogram
				for _, p := range data.DataPoints {
					add(p.Attributes)
					require.Equal(t, since, p.StartTime)
				}
			case metricdata.ExponentialHistogram[float64]:
				require.Equal(t, telemetry.HistogramExponential, kind, m.Name)
				of.Kind = semconv.KindHistogram
				for _, p := range data.DataPoints {
					add(p.Attributes)
					require.Equal(t, since, p.StartTime)
				}
			}
			of.Attributes = slices.Sorted(maps.Keys(keys))
			shown = append(shown, of)
		}
		want := semconv.Metrics()
		for i := range want {
			want[i].Attributes = slices.Sorted(slices.Values(want[i].Attributes))
		}
		require.Equal(t, want, shown)
	}
}

// Of a task that has done nothing yet there is all that a rate is taken of.
func TestMetricsOfAnEngineThatHasNotRun(t *testing.T) {
	f := &faulty{}
	e := f.engine(t, "score")
	got := collectFrom(t, telemetry.NewMetrics(telemetry.MetricsConfig{Source: func() []engine.Metrics { return []engine.Metrics{e.Metrics()} }}))
	var names []string
	for name, v := range got.counters {
		require.Zero(t, v, name)
		names = append(names, name)
	}
	for name, v := range got.histograms {
		require.Equal(t, counted{}, v, name)
		names = append(names, name)
	}
	slices.Sort(names)
	perPhase := func(name string) (all []string) {
		for _, p := range []string{"exception", "fetch", "process", "produce", "success"} {
			all = append(all, name+" "+p)
		}
		return all
	}
	require.Equal(t, slices.Sorted(slices.Values(slices.Concat(
		perPhase("ergon.attempts"), perPhase("ergon.phase.duration"), perPhase("ergon.retries"), perPhase("ergon.timeouts"),
		strings.Split("ergon.attempts.stuck,ergon.drain.transactions dead,ergon.drain.transactions succeeded,"+
			"ergon.fetch.batch.size,ergon.fetch.empty,ergon.leases.lost,ergon.outputs,ergon.redeliveries,ergon.settle.failures,"+
			"ergon.transaction.duration dead,ergon.transaction.duration succeeded,ergon.transactions.started,"+
			"ergon.transactions dead BUSINESS,ergon.transactions dead SYSTEM,ergon.transactions dead TIMEOUT,ergon.transactions succeeded", ","),
	))), names)
	require.NotContains(t, got.gauges, "ergon.source.pending", "the memory connector does not say")
	require.NotContains(t, got.gauges, "ergon.breaker.open process")
}

func TestMetricsWithoutAnything(t *testing.T) {
	require.Empty(t, collectFrom(t, telemetry.NewMetrics(telemetry.MetricsConfig{})).metrics)
}

// Exponential buckets keep their place when the empty ones before them go.
func TestExponentialBuckets(t *testing.T) {
	for _, m := range collectFrom(t, metricsOf(telemetry.HistogramExponential, everything("score"))).metrics {
		data, ok := m.Data.(metricdata.ExponentialHistogram[float64])
		if !ok {
			continue
		}
		for _, p := range data.DataPoints {
			require.Equal(t, metricdata.ExponentialBucket{Offset: -158, Counts: []uint64{2, 0, 3}}, p.PositiveBucket)
			require.Equal(t, []any{int32(3), uint64(1), 1e-6, uint64(6), 1.5}, []any{p.Scale, p.ZeroCount, p.ZeroThreshold, p.Count, p.Sum})
			_, known := p.Max.Value()
			require.False(t, known)
		}
	}
}

func TestParseHistogramKind(t *testing.T) {
	for name, want := range map[string]telemetry.HistogramKind{
		"": telemetry.HistogramExplicit, "explicit_bucket_histogram": telemetry.HistogramExplicit,
		"base2_exponential_bucket_histogram": telemetry.HistogramExponential,
	} {
		got, err := telemetry.ParseHistogramKind(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := telemetry.ParseHistogramKind("round")
	require.ErrorContains(t, err, "round")
}
