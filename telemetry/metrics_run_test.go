package telemetry_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// What is shown of a run is what its task and its connectors counted themselves.
func TestMetricsOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{}
		e := f.engine(t, "score")
		began := time.Now()
		_, err := e.Run(t.Context())
		require.NoError(t, err)
		took := time.Since(began)

		source := func() []engine.Metrics { return []engine.Metrics{e.Metrics()} }
		explicit := collectFrom(t, telemetry.NewMetrics(telemetry.MetricsOptions{Source: source}))
		exponential := collectFrom(t, telemetry.NewMetrics(telemetry.MetricsOptions{Source: source, Histogram: telemetry.HistogramExponential}))

		want := f.expected()
		require.Equal(t, map[string]int64{"BUSINESS": 8, "SYSTEM": 0, "TIMEOUT": 3}, map[string]int64{
			"BUSINESS": want["ergon.transactions dead BUSINESS"], "SYSTEM": want["ergon.transactions dead SYSTEM"], "TIMEOUT": want["ergon.transactions dead TIMEOUT"],
		}, "the task did not fail as it should have")
		require.Equal(t, want, explicit.counters)
		require.Equal(t, want, exponential.counters)
		require.Equal(t, explicit.gauges, exponential.gauges)
		require.Equal(t, began, explicit.since)
		require.EqualValues(t, 0, explicit.gauges["ergon.ready"], "it has ended")
		require.EqualValues(t, 0, explicit.gauges["ergon.breaker.open produce"])
		require.EqualValues(t, 3, explicit.gauges["ergon.limit process"])

		require.Equal(t, counted{uint64(f.counts["batches"]), pushed}, explicit.histograms["ergon.fetch.batch.size"])
		require.EqualValues(t, want["ergon.transactions succeeded"], explicit.histograms["ergon.transaction.duration succeeded"].count)
		require.EqualValues(t, want["ergon.attempts process"], explicit.histograms["ergon.phase.duration process"].count)
		require.Equal(t, uint64(3), explicit.histograms["ergon.phase.duration process TIMEOUT"].count, "phases, not attempts")
		require.GreaterOrEqual(t, explicit.histograms["ergon.phase.duration process TIMEOUT"].sum, 3*(0.05+0.01+0.05), "with the backoff, and whatever they waited for a slot")
		require.Equal(t, uint64(f.counts["process retries"]), explicit.histograms["ergon.backoff.duration process"].count)
		require.Less(t, explicit.histograms["ergon.transaction.duration succeeded"].sum, took.Seconds()*pushed)
		require.Equal(t, explicit.histograms, exponential.histograms, "the same values, in other buckets")
		requireBracketed(t, exponential.metrics)
	})
}

// requireBracketed fails if a sum is not what values in its buckets could add up to.
func requireBracketed(t *testing.T, all []metricdata.Metrics) {
	t.Helper()
	checked := 0
	for _, m := range all {
		data, _ := m.Data.(metricdata.ExponentialHistogram[float64])
		for _, p := range data.DataPoints {
			least, most := 0.0, float64(p.ZeroCount)*p.ZeroThreshold
			for i, n := range p.PositiveBucket.Counts {
				bound := func(i int) float64 {
					return math.Exp2(math.Ldexp(float64(int(p.PositiveBucket.Offset)+i), -int(p.Scale)))
				}
				least += float64(n) * bound(i)
				most += float64(n) * bound(i+1)
			}
			require.LessOrEqual(t, least, p.Sum, m.Name)
			require.GreaterOrEqual(t, most, p.Sum, m.Name)
			checked += len(p.PositiveBucket.Counts)
		}
	}
	require.Positive(t, checked)
}

// What is held when a task begins to stop is counted a second time.
func TestMetricsOfADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := memory.NewQueue(memory.QueueOptions{})
		for i := range 3 {
			queue.Push(ergon.New([]byte(`"x"`), ergon.WithID(fmt.Sprint(i)), ergon.WithSource("test")))
		}
		p := policy.DefaultConsumer()
		p.Loop.Concurrency = 2
		e, err := engine.New(engine.Config{
			Task: engine.Consume[string, string]("score", task{process: func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
				time.Sleep(time.Second)
				return tx.Payload(), nil
			}}),
			Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{})}, Policy: p,
		})
		require.NoError(t, err)
		ctx, stop := context.WithTimeout(t.Context(), time.Second/2)
		defer stop()
		_, err = e.Run(ctx)
		require.NoError(t, err)
		got := collectFrom(t, telemetry.NewMetrics(telemetry.MetricsOptions{Source: func() []engine.Metrics { return []engine.Metrics{e.Metrics()} }}))
		require.EqualValues(t, 2, got.counters["ergon.drain.transactions succeeded"])
		require.EqualValues(t, 1, got.counters["ergon.drain.transactions released"])
		require.EqualValues(t, 1, got.counters["ergon.transactions released"])
		require.NotContains(t, got.histograms, "ergon.transaction.duration released", "it never began")
	})
}
