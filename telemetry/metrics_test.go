package telemetry_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/meter"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/telemetry"
)

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
					require.Equal(t, m.Name != semconv.MetricExportFailures.Name && m.Name != semconv.MetricTelemetryLost.Name, p.StartTime.Equal(since), m.Name)
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
	got := collectFrom(t, telemetry.NewMetrics(telemetry.MetricsOptions{Source: func() []engine.Metrics { return []engine.Metrics{e.Metrics()} }}))
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
			"ergon.fetch.batch.size,ergon.fetch.empty,ergon.leases.lost,ergon.outputs,ergon.redeliveries,ergon.settle.failures,ergon.task.restarts,"+
			"ergon.transaction.duration dead,ergon.transaction.duration succeeded,ergon.transactions.started,"+
			"ergon.transactions dead BUSINESS,ergon.transactions dead SYSTEM,ergon.transactions dead TIMEOUT,ergon.transactions succeeded", ","),
	))), names)
	require.NotContains(t, got.gauges, "ergon.source.pending", "the memory connector does not say")
	require.NotContains(t, got.gauges, "ergon.breaker.open process")
}

// Likewise of a service that nobody has called: what did well is there, and a failure when
// there is one. Where there is no breaker, none is shown.
func TestMetricsOfServices(t *testing.T) {
	for _, kind := range []telemetry.HistogramKind{telemetry.HistogramExplicit, telemetry.HistogramExponential} {
		seam, err := services.New("rates", policy.DefaultService())
		require.NoError(t, err)
		get := seam.Operation("get", services.Idempotent)
		m := telemetry.NewMetrics(telemetry.MetricsOptions{Histogram: kind, Services: func() []services.Metrics { return []services.Metrics{seam.Metrics()} }})
		got := collectFrom(t, m)
		require.Equal(t, map[string]counted{"ergon.service.call.duration rates rates.get": {}}, got.histograms)
		require.Equal(t, map[string]int64{"ergon.service.retries rates rates.get": 0, "ergon.service.rejected rates rates.get": 0}, got.counters)
		require.Equal(t, map[string]int64{"ergon.service.calls.running rates rates.get": 0}, got.gauges)

		for n := range 3 {
			_, err := services.Call(t.Context(), get, n, func(_ context.Context, n int) (int, error) {
				if n == 0 {
					return 0, ergon.Business("no")
				}
				return n, nil
			})
			require.Equal(t, n == 0, err != nil)
		}
		got = collectFrom(t, m)
		require.EqualValues(t, 2, got.histograms["ergon.service.call.duration rates rates.get"].count)
		require.EqualValues(t, 1, got.histograms["ergon.service.call.duration BUSINESS rates rates.get"].count)
	}
}

func TestMetricsWithoutAnything(t *testing.T) {
	require.Empty(t, collectFrom(t, telemetry.NewMetrics(telemetry.MetricsOptions{})).metrics)
}

// Exponential buckets keep their place when the empty ones before them go.
func TestExponentialBuckets(t *testing.T) {
	for _, m := range collectFrom(t, metricsOf(telemetry.HistogramExponential, everything("score"))).metrics {
		data, ok := m.Data.(metricdata.ExponentialHistogram[float64])
		if !ok {
			continue
		}
		threshold := 1e-6
		if m.Name == semconv.MetricCallDuration.Name {
			threshold = meter.Floor
		}
		for _, p := range data.DataPoints {
			require.Equal(t, metricdata.ExponentialBucket{Offset: -158, Counts: []uint64{2, 0, 3}}, p.PositiveBucket)
			require.Equal(t, []any{int32(3), uint64(1), threshold, uint64(6), 1.5}, []any{p.Scale, p.ZeroCount, p.ZeroThreshold, p.Count, p.Sum})
			_, known := p.Max.Value()
			require.False(t, known)
		}
	}
}

// A reader that prefers deltas gets what others get: the sums are not its own.
func TestDeltasAreNotMade(t *testing.T) {
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(metricsOf(telemetry.HistogramExplicit, everything("score"))),
		sdkmetric.WithTemporalitySelector(func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	for range 2 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		started := all.ScopeMetrics[0].Metrics[1].Data.(metricdata.Sum[int64])
		require.Equal(t, metricdata.CumulativeTemporality, started.Temporality)
		require.EqualValues(t, 100, started.DataPoints[0].Value)
	}
	require.NoError(t, provider.Shutdown(t.Context()))
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
