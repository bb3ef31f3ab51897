package telemetry

import (
	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
)

// SilenceSDK keeps OpenTelemetry's own log, of the whole process, from the standard error:
// it writes lines of a form of its own there, with the values of variables that it can't
// read, secrets among them. What is wrong with a variable is an error of New. It is for a
// program's main, before it calls New, and for nobody else.
func SilenceSDK() { otel.SetLogger(logr.Discard()) }

// SetGlobal makes t what the process's other code finds with OpenTelemetry's own
// functions: its tracers, meters, the propagation of trace context, and where errors
// go. It is for a program's main, and for nobody else.
func SetGlobal(t *Telemetry) {
	otel.SetErrorHandler(t.ErrorHandler())
	otel.SetTracerProvider(t.TracerProvider())
	otel.SetMeterProvider(t.MeterProvider())
	otel.SetTextMapPropagator(propagation.TraceContext{})
}
