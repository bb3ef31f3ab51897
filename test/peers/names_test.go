package peers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// promLabel and promName are OpenTelemetry's names as Prometheus has them.
func promLabel(attribute string) string { return strings.ReplaceAll(attribute, ".", "_") }

func promName(m semconv.Metric) string {
	name := promLabel(m.Name)
	if m.Unit == "s" {
		name += "_seconds" // what stands in braces is no unit
	}
	if m.Kind == semconv.KindCounter {
		name += "_total"
	}
	return name
}

// known are the labels of each series that Ergon has, by its name: those of semconv,
// and what the Go runtime tells of itself.
func known() map[string][]string {
	all := map[string][]string{
		"go_goroutines":           nil,
		"go_memory_used_bytes":    {"go_memory_type"},
		"go_memory_gc_goal_bytes": nil,
		"up":                      nil, // Prometheus's own
	}
	for _, m := range semconv.Metrics() {
		var labels []string
		for _, a := range m.Attributes {
			labels = append(labels, promLabel(a))
		}
		name := promName(m)
		if m.Kind == semconv.KindHistogram {
			all[name+"_sum"], all[name+"_count"] = labels, labels
			all[name+"_bucket"] = append(labels[:len(labels):len(labels)], "le")
			continue
		}
		all[name] = labels
	}
	return all
}

// scraped are the labels that Prometheus adds to every series.
func scraped() []string { return []string{"job", "instance"} }

// rare are the metrics that a run need not have: of a policy that few set, of services,
// and of exporters.
func rare() []string {
	return []string{
		"ergon_breaker_open", "ergon_telemetry_failures_total", "ergon_telemetry_lost_total",
		"ergon_service_call_duration_seconds_bucket", "ergon_service_call_duration_seconds_count",
		"ergon_service_call_duration_seconds_sum", "ergon_service_calls_running", "ergon_service_retries_total",
		"ergon_service_rejected_total", "ergon_service_breaker_open", "ergon_service_breaker_opened_total",
	}
}

// The check of queries finds what it is to find.
func TestFaultsAreFound(t *testing.T) {
	for promql, fault := range map[string]string{
		`sum(rate(ergon_transactions[1m]))`:                                     `there is no "ergon_transactions"`,
		`ergon_ready{task="score"}`:                                             `no label "task"`,
		`sum by (ergon_phase) (ergon_transactions_total)`:                       `no label "ergon_phase" to group by`,
		`ergon_ready unless on (ergon_phase) ergon_transactions_total`:          `not both sides have "ergon_phase"`,
		`histogram_quantile(0.5, rate(ergon_transaction_duration_seconds[1m]))`: `there is no`,
	} {
		require.ErrorContains(t, faults(parse(t, promql), map[string]bool{}), fault, promql)
	}
}
