package telemetry_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon/telemetry"
)

func TestRuntimeMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	require.NoError(t, telemetry.RuntimeMetrics(provider))
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.NoError(t, provider.Shutdown(t.Context()))
	require.Len(t, all.ScopeMetrics, 1)
	var names []string
	for _, m := range all.ScopeMetrics[0].Metrics {
		names = append(names, m.Name)
		if m.Name == "go.goroutine.count" {
			require.Positive(t, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	require.Subset(t, names, []string{"go.memory.used", "go.memory.allocated", "go.memory.allocations", "go.goroutine.count"})
}
