package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	otelsem "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ergon-framework/ergon"
)

const serviceName = string(otelsem.ServiceNameKey)

// whose describes the process that telemetry comes from. Its arguments and its owner
// are left out: the first may hold secrets, and both are nobody's business.
func whose(ctx context.Context, o Options, attributes map[string]string) *resource.Resource {
	own := []attribute.KeyValue{otelsem.ServiceInstanceID(ergon.NewID(context.Background()))}
	if o.Version != "" {
		own = append(own, otelsem.ServiceVersion(o.Version))
	}
	for name, value := range attributes {
		own = append(own, attribute.String(name, value))
	}
	r, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithProcessPID(), resource.WithProcessExecutableName(),
		resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(),
		resource.WithAttributes(own...), // the last one wins
	)
	if err != nil {
		o.Logger.LogAttrs(ctx, slog.LevelWarn, "not everything is known that telemetry should say of this process", slog.String("error", err.Error()))
	}
	return r
}
