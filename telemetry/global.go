package telemetry

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// SetGlobal makes t what the process's other code finds with OpenTelemetry's own
// functions: its tracers, meters, the propagation of trace context, and where errors
// go. It is for a program's main, and for nobody else.
func SetGlobal(t *Telemetry) {
	otel.SetErrorHandler(t.ErrorHandler())
	otel.SetTracerProvider(t.TracerProvider())
	otel.SetMeterProvider(t.MeterProvider())
	otel.SetTextMapPropagator(propagation.TraceContext{})
}
