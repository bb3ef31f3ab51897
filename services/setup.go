package services

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/ergon-framework/ergon/policy"
)

// Setup is what a service is made of. Package app fills it in from services.NAME of
// ergon.yaml; whoever uses a service by itself writes it down.
type Setup[C any] struct {
	// Name is the service's, in spans, metrics and errors. Required.
	Name string
	// Config says how it is reached.
	Config C
	// Policy bounds its calls. The zero value is [policy.DefaultService].
	Policy policy.Phase
	// Logger gets what no call returns. Default: nowhere.
	Logger *slog.Logger
	// Meters make instruments that the seam has not: of pools, or tokens. Default: none.
	Meters metric.MeterProvider
}

// Seam makes the service's seam.
func (s Setup[C]) Seam(opts ...Option) (*Seam, error) {
	p := s.Policy
	if p == (policy.Phase{}) {
		p = policy.DefaultService()
	}
	return New(s.Name, p, opts...)
}

// Log returns the logger, which says whose line it is.
func (s Setup[C]) Log() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger.With("service", s.Name)
}

// Meter returns whoever makes the service's instruments, never nil.
func (s Setup[C]) Meter() metric.Meter {
	if s.Meters == nil {
		return noop.Meter{}
	}
	return s.Meters.Meter(scope)
}
