package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/meter"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/services"
)

// services adds the metrics of services. Their series are bounded by the operations that
// their authors named: no request is in any.
func (c *collection) services(all []services.Metrics) {
	c.ofCalls(all)
	perOperation := func(m semconv.Metric, number func(*services.OperationMetrics) int64) {
		c.ofServices(m, all, func(s *services.Metrics, add addNumber) {
			for i := range s.Operations {
				add(number(&s.Operations[i]), operationIs(&s.Operations[i]))
			}
		})
	}
	perOperation(semconv.MetricCallsRunning, func(o *services.OperationMetrics) int64 { return o.Running })
	perOperation(semconv.MetricCallRetries, func(o *services.OperationMetrics) int64 { return o.Retries })
	perOperation(semconv.MetricCallsRejected, func(o *services.OperationMetrics) int64 { return o.Rejected })
	perBreaker := func(m semconv.Metric, number func(*services.Metrics) int64) {
		c.ofServices(m, all, func(s *services.Metrics, add addNumber) {
			if s.HasBreaker {
				add(number(s))
			}
		})
	}
	perBreaker(semconv.MetricServiceBreakerOpen, func(s *services.Metrics) int64 { return oneIf(s.Open) })
	perBreaker(semconv.MetricServiceBreakerOpened, func(s *services.Metrics) int64 { return s.Opened })
}

func (c *collection) ofServices(m semconv.Metric, all []services.Metrics, read func(*services.Metrics, addNumber)) {
	c.show(m, func(add addNumbers) {
		for i := range all {
			s := &all[i]
			read(s, func(n int64, attrs ...attribute.KeyValue) { add(n, s.Since, c.set(serviceIs(s), attrs)) })
		}
	}, nil)
}

// ofCalls are how long calls took: those that did well from the beginning, the others
// once there is one.
func (c *collection) ofCalls(all []services.Metrics) {
	c.show(semconv.MetricCallDuration, nil, func(add addHistograms) {
		for i := range all {
			s := &all[i]
			for j := range s.Operations {
				o := &s.Operations[j]
				for _, calls := range o.Calls {
					attrs := []attribute.KeyValue{operationIs(o)}
					if calls.Category != "" {
						attrs = append(attrs, failedBy(calls.Category))
					}
					add(histogramOf(calls.Duration), s.Since, c.set(serviceIs(s), attrs))
				}
			}
		}
	})
}

// seconds are the bounds of the fixed buckets.
var seconds = func() (all []float64) {
	for _, b := range meter.Bounds {
		all = append(all, b.Seconds())
	}
	return all
}()

func histogramOf(s *meter.Snapshot) *engine.Histogram {
	return &engine.Histogram{
		Count: s.Count, Sum: s.Sum.Seconds(), Bounds: seconds, Counts: s.Coarse[:],
		Fine: s.Fine[:], Scale: meter.Scale, Offset: meter.Offset, Zero: s.Zero, ZeroThreshold: meter.Floor,
	}
}

func serviceIs(s *services.Metrics) attribute.KeyValue {
	return attribute.String(semconv.AttrService, s.Service)
}

func operationIs(o *services.OperationMetrics) attribute.KeyValue {
	return attribute.String(semconv.AttrOperation, o.Name)
}
