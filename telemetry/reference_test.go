package telemetry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/telemetry"
)

// The reference page is made of the tables that the code takes its names from, and of
// what Prometheus makes of them.
func TestReferencePage(t *testing.T) {
	p := &page{}
	p.say(`# Telemetry

Every span, metric and attribute, and the values of those attributes that have a fixed set of them. This page is made
from ` + "`internal/semconv`" + ` by ` + "`go test ./telemetry -update`" + `; its other half is a test that fails when a name changes.`)
	p.spans()
	p.metrics(t)
	p.attributes(t)
	golden(t, "../docs/reference/telemetry.md", p.String())
}

type page struct{ strings.Builder }

func (p *page) say(text string) { p.WriteString(text + "\n\n") }

func (p *page) table(head string, rows [][]string) {
	columns := strings.Split(head, ", ")
	p.WriteString("| " + strings.Join(columns, " | ") + " |\n|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, row := range rows {
		p.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	p.WriteString("\n")
}

// code sets names as code, with a comma between them.
func code(names ...string) string {
	if len(names) == 0 {
		return ""
	}
	return "`" + strings.Join(names, "`, `") + "`"
}

func (p *page) spans() {
	p.say(`## Spans

A transaction is one span, each phase that it went through one below it, and each attempt one below its phase. Spans are
made when the transaction has ended. One that is sampled out has none, unless it failed for good: that is always told in
full. A span that failed has the status Error, with the reason as its description; a payload is in none.`)
	var rows [][]string
	for _, s := range semconv.Spans() {
		name := code(s.Name)
		if s.Name == semconv.SpanAttempts {
			name = "`PHASE.attempt.N`"
		}
		rows = append(rows, []string{name, s.Kind, s.Description})
	}
	p.table("span, kind, what it is", rows)
	p.say("### Attributes of spans")
	rows = nil
	for _, a := range semconv.Attributes() {
		if len(a.Spans) == 0 {
			continue
		}
		on := code(a.Spans...)
		on = strings.ReplaceAll(on, "`"+semconv.SpanAttempts+"`", "attempts")
		rows = append(rows, []string{code(a.Name), a.Type, on, a.Description})
	}
	p.table("attribute, type, on, meaning", rows)
}

func (p *page) metrics(t *testing.T) {
	p.say(`## Metrics

Counters and histograms are cumulative since the run began: a task that is started again goes on. No attribute has an ID or free text for its
value, so the number of series is bounded by the number of tasks and of what services' authors named as operations.

These series are there from the beginning, so that a rate over them sees the first event too: whatever did well, the
outcomes ` + "`succeeded` and `dead`" + ` (of ` + code(semconv.MetricTransactions.Name) + ` with each ` + code(semconv.AttrErrorType) + `), the retries and timeouts of each phase,
and the retries of each operation of a service. Others appear when they have something to count; ` + code(semconv.MetricDeadLetters.Name) + ` is one, so
an alert on the first dead letter is better made on ` + code(semconv.MetricTransactions.Name) + `.`)
	handler, _ := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	names := map[string]string{} // by description, which is the same there
	for name, family := range families(t, handler) {
		require.NotContains(t, names, family.GetHelp(), "two metrics have one description")
		names[family.GetHelp()] = name
	}
	var rows [][]string
	for _, m := range semconv.Metrics() {
		require.Contains(t, names, m.Description)
		rows = append(rows, []string{code(m.Name), code(names[m.Description]), string(m.Kind), code(m.Unit), code(m.Attributes...), m.Description})
	}
	p.table("metric, for Prometheus, kind, unit, attributes, meaning", rows)
	e := (&faulty{}).engine(t, "score").Metrics()
	p.say(`The buckets of durations end, in seconds, at
` + bounds(e.Phases[0].Backoff) + `;
those of ` + code(semconv.MetricBatch.Name) + ` at ` + bounds(e.Batch) + `. Durations can have exponential buckets
instead: eight per power of two, from a microsecond to an hour. For Prometheus they are native histograms, which its text
formats can't show.

What the Go runtime says of itself has the names of OpenTelemetry's semantic conventions: ` + code("go.memory.*", "go.goroutine.count") + `,
` + code("go.processor.limit", "go.config.gogc") + `.

So has what a database's pool (` + code("services/sql") + `) says, by ` + code(semconv.AttrPool) + `, the service's name:
` + code(semconv.MetricPoolCount.Name) + ` (by ` + code(semconv.AttrPoolState) + `: used, idle),
` + code(semconv.MetricPoolMax.Name, semconv.MetricPoolIdleMax.Name, semconv.MetricPoolPending.Name) + ` and
` + code(semconv.MetricPoolTimeouts.Name) + `. The spans of its calls have ` + code(semconv.AttrDBSystem, semconv.AttrDBNamespace, semconv.AttrDBOperation) + ` and, of one that
failed, ` + code(semconv.AttrDBStatus) + `; never a statement or its arguments.

And so has what a language model (` + code("services/llm") + `) costs: ` + code(semconv.MetricTokens.Name) + ` (for Prometheus
` + code(forPrometheus(t, semconv.MetricTokens)) + `), a ` + string(semconv.MetricTokens.Kind) + `. ` + semconv.MetricTokens.Description + ` By
` + code(semconv.MetricTokens.Attributes...) + `;
the type is ` + code("input") + ` or ` + code("output") + `.`)
}

// forPrometheus is the name there of a histogram of whole numbers that a service makes.
func forPrometheus(t *testing.T, m semconv.Metric) string {
	handler, meters := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	of, err := meters.Meter("service").Int64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
	require.NoError(t, err)
	of.Record(t.Context(), 1)
	for name, family := range families(t, handler) {
		if family.GetHelp() == m.Description {
			return name
		}
	}
	require.Fail(t, "it is not there", m.Name)
	return ""
}

func bounds(h engine.Histogram) string {
	var all []string
	for _, b := range h.Bounds {
		all = append(all, fmt.Sprint(b))
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

func (p *page) attributes(t *testing.T) {
	p.say(`### Attributes of metrics`)
	handler, _ := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	labels := map[string]string{} // by their letters
	for _, family := range families(t, handler) {
		for _, l := range family.GetMetric()[len(family.GetMetric())-1].GetLabel() {
			labels[strings.ReplaceAll(l.GetName(), "_", "")] = l.GetName()
		}
	}
	var rows, values [][]string
	for _, a := range semconv.Attributes() {
		name := code(a.Name)
		for _, v := range a.Values {
			values = append(values, []string{name, code(v.Name), v.Description})
			name = ""
		}
		if !slices.ContainsFunc(semconv.Metrics(), func(m semconv.Metric) bool { return slices.Contains(m.Attributes, a.Name) }) {
			continue
		}
		label := labels[strings.ReplaceAll(a.Name, ".", "")]
		require.NotEmpty(t, label, a.Name)
		rows = append(rows, []string{code(a.Name), code(label), a.Description})
	}
	p.table("attribute, for Prometheus, meaning", rows)
	p.say(`## Values

An attribute that is not here can have any value.`)
	p.table("attribute, value, meaning", values)
}
