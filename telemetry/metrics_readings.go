package telemetry

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// reading is where the series of one metric are found in an engine's snapshot. Which
// of the two functions there is depends on the metric's kind.
type reading struct {
	metric     semconv.Metric
	numbers    func(e *engine.Metrics, add addNumber)
	histograms func(e *engine.Metrics, add addHistogram)
}

// Each adds a series; the task is among its attributes anyway.
type (
	addNumber    func(n int64, attrs ...attribute.KeyValue)
	addHistogram func(h *engine.Histogram, attrs ...attribute.KeyValue)
)

// readings are of all metrics that are read from engines, in the order in which they
// are shown.
var readings = []reading{
	{metric: semconv.MetricTransactions, numbers: readTransactions},
	perTask(semconv.MetricStarted, func(e *engine.Metrics) int64 { return e.Started }),
	{metric: semconv.MetricTransactionDuration, histograms: readTransactionDurations},
	{metric: semconv.MetricDeadLetters, numbers: func(e *engine.Metrics, add addNumber) {
		for _, d := range e.DeadLetters {
			add(d.Count, phaseIs(d.Phase), failedBy(d.Category))
		}
	}},
	perTask(semconv.MetricOutputs, func(e *engine.Metrics) int64 { return e.Outputs }),
	{metric: semconv.MetricPhaseDuration, histograms: readPhaseDurations},
	perPhase(semconv.MetricRunning, func(p *engine.PhaseMetrics) int64 { return p.Running }),
	{metric: semconv.MetricAttempts, numbers: readAttempts},
	perPhase(semconv.MetricRetries, func(p *engine.PhaseMetrics) int64 { return p.Retries }),
	perPhase(semconv.MetricTimeouts, timeoutsOf),
	{metric: semconv.MetricBackoff, histograms: func(e *engine.Metrics, add addHistogram) {
		for i := range e.Phases {
			if p := &e.Phases[i]; p.Backoff.Count > 0 {
				add(&p.Backoff, phaseIs(p.Phase))
			}
		}
	}},
	perTask(semconv.MetricStuck, func(e *engine.Metrics) int64 { return e.Stuck }),
	{metric: semconv.MetricBatch, histograms: func(e *engine.Metrics, add addHistogram) { add(&e.Batch) }},
	perTask(semconv.MetricEmpty, func(e *engine.Metrics) int64 { return e.Empty }),
	perTask(semconv.MetricRedeliveries, func(e *engine.Metrics) int64 { return e.Redelivered }),
	perTask(semconv.MetricLeasesLost, func(e *engine.Metrics) int64 { return e.LeasesLost }),
	perTask(semconv.MetricSettleFailures, func(e *engine.Metrics) int64 { return e.SettleFailed }),
	perLimit(semconv.MetricLimitUsed, func(l engine.LimitMetrics) int64 { return l.Used }),
	perLimit(semconv.MetricLimit, func(l engine.LimitMetrics) int64 { return l.Max }),
	lag(semconv.MetricPending, func(l ergon.Lag) int64 { return l.Pending }),
	lag(semconv.MetricInFlight, func(l ergon.Lag) int64 { return l.InFlight }),
	lag(semconv.MetricParked, func(l ergon.Lag) int64 { return l.Parked }),
	perTask(semconv.MetricReady, func(e *engine.Metrics) int64 { return oneIf(e.Ready) }),
	{metric: semconv.MetricBreakerOpen, numbers: func(e *engine.Metrics, add addNumber) {
		for _, p := range e.Phases {
			if p.Breaker {
				add(oneIf(p.Open), phaseIs(p.Phase))
			}
		}
	}},
	{metric: semconv.MetricDrained, numbers: func(e *engine.Metrics, add addNumber) {
		for _, t := range e.Transactions {
			if t.Drained > 0 || isFinal(t.Outcome) {
				add(t.Drained, outcomeIs(t.Outcome))
			}
		}
	}},
	perTask(semconv.MetricRestarts, func(e *engine.Metrics) int64 { return e.Restarts }),
}

func perTask(m semconv.Metric, number func(*engine.Metrics) int64) reading {
	return reading{metric: m, numbers: func(e *engine.Metrics, add addNumber) { add(number(e)) }}
}

func perPhase(m semconv.Metric, number func(*engine.PhaseMetrics) int64) reading {
	return reading{metric: m, numbers: func(e *engine.Metrics, add addNumber) {
		for i := range e.Phases {
			add(number(&e.Phases[i]), phaseIs(e.Phases[i].Phase))
		}
	}}
}

func perLimit(m semconv.Metric, number func(engine.LimitMetrics) int64) reading {
	return reading{metric: m, numbers: func(e *engine.Metrics, add addNumber) {
		for _, l := range e.Limits {
			add(number(l), attribute.String(semconv.AttrLimit, l.Name))
		}
	}}
}

// lag is known of some sources only, and of those after their first answer.
func lag(m semconv.Metric, number func(ergon.Lag) int64) reading {
	return reading{metric: m, numbers: func(e *engine.Metrics, add addNumber) {
		if !e.Lag.At.IsZero() {
			add(number(e.Lag))
		}
	}}
}

// failureCategories are the categories of what failed.
var failureCategories = [...]ergon.Category{ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}

// readTransactions shows the dead by category from the beginning: the first of a kind is
// the one that somebody waits for.
func readTransactions(e *engine.Metrics, add addNumber) {
	for _, t := range e.Transactions {
		rest := t.Count
		for _, c := range failureCategories {
			n := t.Failed[c]
			rest -= n
			if n > 0 || t.Outcome == engine.Dead {
				add(n, outcomeIs(t.Outcome), failedBy(c))
			}
		}
		if rest > 0 || t.Outcome == engine.Succeeded {
			add(rest, outcomeIs(t.Outcome))
		}
	}
}

func readTransactionDurations(e *engine.Metrics, add addHistogram) {
	for i := range e.Transactions {
		if t := &e.Transactions[i]; t.Duration.Count > 0 || isFinal(t.Outcome) {
			add(&t.Duration, outcomeIs(t.Outcome))
		}
	}
}

// isFinal says that a transaction with this outcome does not come back.
func isFinal(o engine.Outcome) bool { return o == engine.Succeeded || o == engine.Dead }

func readPhaseDurations(e *engine.Metrics, add addHistogram) {
	for i := range e.Phases {
		p := &e.Phases[i]
		for j := range p.Results {
			if r := &p.Results[j]; r.Category == "" {
				add(&r.Duration, phaseIs(p.Phase))
			} else if r.Duration.Count > 0 {
				add(&r.Duration, phaseIs(p.Phase), failedBy(r.Category))
			}
		}
	}
}

func readAttempts(e *engine.Metrics, add addNumber) {
	for i := range e.Phases {
		p := &e.Phases[i]
		for j := range p.Results {
			if r := &p.Results[j]; r.Category == "" {
				add(r.Attempts, phaseIs(p.Phase))
			} else if r.Attempts > 0 {
				add(r.Attempts, phaseIs(p.Phase), failedBy(r.Category))
			}
		}
	}
}

func timeoutsOf(p *engine.PhaseMetrics) (n int64) {
	for i := range p.Results {
		if p.Results[i].Category == ergon.CategoryTimeout {
			n += p.Results[i].Attempts
		}
	}
	return n
}

func phaseIs(p ergon.Phase) attribute.KeyValue {
	return attribute.String(semconv.AttrPhase, string(p))
}

func outcomeIs(o engine.Outcome) attribute.KeyValue {
	return attribute.String(semconv.AttrOutcome, string(o))
}

func failedBy(c ergon.Category) attribute.KeyValue {
	return attribute.String(semconv.AttrErrorType, string(c))
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
