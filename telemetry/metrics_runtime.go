package telemetry

import (
	"fmt"

	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel/metric"
)

// RuntimeMetrics makes a provider show what the Go runtime says of itself: go.memory.*,
// go.goroutine.count, go.processor.limit and go.config.gogc, as OpenTelemetry's
// semantic conventions name them. Call it once per provider; it reads when somebody
// collects, and ends with the provider.
func RuntimeMetrics(provider metric.MeterProvider) error {
	if err := runtime.Start(runtime.WithMeterProvider(provider)); err != nil {
		return fmt.Errorf("show the go runtime's metrics: %w", err)
	}
	return nil
}
