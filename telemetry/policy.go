package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// policyAttributes are what the attempts of a task have in common, by phase: a policy
// never changes, so they are made once.
type policyAttributes struct {
	phases map[ergon.Phase][]attribute.KeyValue
}

func (t *Tracer) policyAttributes(r engine.TraceRecord) *policyAttributes {
	if made, ok := t.policies.Load(r.Policy); ok {
		return made.(*policyAttributes)
	}
	all := &policyAttributes{phases: map[ergon.Phase][]attribute.KeyValue{}}
	for _, phase := range []ergon.Phase{ergon.PhaseFetch, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess, ergon.PhaseException} {
		all.phases[phase] = append([]attribute.KeyValue{
			attribute.String(semconv.AttrTask, r.Task), attribute.String(semconv.AttrPhase, string(phase)),
		}, retryAttributes(r, phase)...)
	}
	made, _ := t.policies.LoadOrStore(r.Policy, all)
	return made.(*policyAttributes)
}

func retryAttributes(r engine.TraceRecord, phase ergon.Phase) []attribute.KeyValue {
	p := r.Policy
	if p == nil {
		return nil
	}
	retry := p.Process.Retry
	switch phase {
	case ergon.PhaseFetch:
		retry = p.Fetch.Retry
	case ergon.PhaseProduce:
		retry = p.Produce.Retry
	case ergon.PhaseSuccess:
		retry = p.Success.Retry
	case ergon.PhaseException:
		retry = p.Exception.Retry
	}
	return []attribute.KeyValue{
		attribute.Float64(semconv.AttrBackoff, retry.Backoff.D().Seconds()),
		attribute.Float64(semconv.AttrBackoffMultiplier, retry.BackoffMultiplier),
		attribute.Float64(semconv.AttrBackoffCap, retry.BackoffCap.D().Seconds()),
		attribute.Float64(semconv.AttrTimeout, retry.Timeout.D().Seconds()),
	}
}
