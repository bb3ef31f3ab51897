package services

import (
	"log/slog"
	"time"

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
	// Policy bounds its calls. The zero value is [policy.DefaultService], unless the
	// service's constructor says otherwise.
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

// Within returns the setup with the default policy written down, and d as the time of an
// attempt, where Policy is the zero value. It is for the author of a service that takes
// longer than most.
func (s Setup[C]) Within(d time.Duration) Setup[C] {
	if s.Policy == (policy.Phase{}) {
		s.Policy = policy.DefaultService()
		s.Policy.Retry.Timeout = policy.Duration(d)
	}
	return s
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
