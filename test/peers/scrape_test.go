package peers

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// quiet sends nothing anywhere, as in docker-compose.yml without the profile.
var quiet = []string{"OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}

// What Prometheus reads from two running processes is what the streams hold, and the
// rules that it evaluates on it tell of the dead letters and of nothing else.
func TestPrometheusReadsTheTruth(t *testing.T) {
	w := newWorld(t)
	a, b := freePort(t), freePort(t)
	retail, books := w.retail(t, quiet, "--admin", a), w.books(t, quiet, "--admin", b)
	retail.listening(t, a)
	books.listening(t, b)
	p := startPrometheus(t, a, b)
	p.becomes(t, 2, `sum(up{job="ergon"})`)
	w.publish(t, mixed()...)
	w.await(t, mixedBooked, "BOOKED", "books.booked", retail, books)
	w.await(t, mixedBad, bus.DefaultDeadStream, "ergon.dlq.score", retail, books)
	w.await(t, mixedNotBooked, bus.DefaultDeadStream, "ergon.dlq.book", retail, books)

	for promql, want := range map[string]int{
		`sum(ergon_transactions_total{ergon_outcome="succeeded"})`:                                                 mixedScored + mixedCancelled + mixedBooked,
		`sum(ergon_transactions_total{ergon_task="score",ergon_outcome="succeeded"})`:                              w.count(t, "RETAIL_OUT", "retail.>"),
		`sum(ergon_transactions_total{ergon_task="score",ergon_outcome="dead"})`:                                   len(w.dead(t, "score")),
		`sum(ergon_dead_letters_total{ergon_task="book",ergon_phase="process",error_type="BUSINESS"})`:             len(w.dead(t, "book")),
		`sum(ergon_outputs_total{ergon_task="book"})`:                                                              w.count(t, "BOOKED", "books.booked"),
		`sum(ergon_retries_total{ergon_task="book"})`:                                                              2 * mixedFlaky,
		`sum(ergon_attempts_total{ergon_task="book",ergon_phase="process",error_type="SYSTEM"})`:                   2 * mixedFlaky,
		`sum(ergon_transaction_duration_seconds_count{ergon_task="score"})`:                                        len(mixed()),
		`sum(ergon_transaction_duration_seconds_bucket{ergon_task="score",le="+Inf"})`:                             len(mixed()),
		`sum(ergon_source_pending)`:                                                                                0,
		`sum(ergon_ready)`:                                                                                         2,
		`sum(ergon_limit{ergon_task="score",ergon_limit="window"})`:                                                1024,
		`count(histogram_quantile(0.99, sum by (le, ergon_task) (ergon_transaction_duration_seconds_bucket)) > 0)`: 2,
	} {
		p.becomes(t, float64(want), promql)
	}
	p.answersDashboard(t)
	p.becomes(t, 2, `count(ALERTS{alertstate="firing", alertname="ErgonDeadLetters"})`)
	p.becomes(t, 2, `count(ALERTS{alertstate="firing"})`)
	retail.stop(t)
	books.stop(t)
}

// What /metrics shows is what semconv names, no more and no less, whatever version of
// Prometheus asks; and Prometheus's linter has nothing against it.
func TestMetricsPage(t *testing.T) {
	w := newWorld(t)
	a := freePort(t)
	w.publish(t, mixed()...)
	retail, books := w.retail(t, quiet), w.books(t, quiet, "--admin", a)
	w.await(t, mixedBooked, "BOOKED", "books.booked", retail, books)
	w.await(t, mixedNotBooked, bus.DefaultDeadStream, "ergon.dlq.book", retail, books)

	all := known()
	var page []byte
	eventually(t, func() (err error) { // the source is asked now and then how much it has
		if page, _, err = fetch(t, "http://"+a+"/metrics", nil); err != nil {
			return err
		}
		shown := samples(page)
		for name := range all {
			if name != "up" && !slices.Contains(rare(), name) && shown[name] == nil {
				return fmt.Errorf("there is no %s in %v", name, slices.Sorted(maps.Keys(shown)))
			}
		}
		return nil
	})
	lint(t, page)
	for name, labels := range samples(page) {
		if !strings.HasPrefix(name, "ergon_") {
			continue // of the Go runtime
		}
		require.Contains(t, all, name, "nobody named it")
		require.Subset(t, all[name], labels, name)
	}

	// Since its third version Prometheus says that it takes names as they are.
	for _, accept := range []string{
		"text/plain;version=1.0.0;escaping=allow-utf-8",
		"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
		"application/openmetrics-text;version=1.0.0",
	} {
		other, _, err := fetch(t, "http://"+a+"/metrics", http.Header{"Accept": {accept}})
		require.NoError(t, err)
		require.Contains(t, string(other), "\nergon_transactions_total{", accept)
	}
	retail.stop(t)
	books.stop(t)
}

var (
	sampleLine = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+`)
	labelName  = regexp.MustCompile(`(\w+)="(?:[^"\\]|\\.)*"`)
)

// samples are the names on a page, each with its labels.
func samples(page []byte) map[string][]string {
	all := map[string][]string{}
	for _, m := range sampleLine.FindAllStringSubmatch(string(page), -1) {
		labels := append([]string{}, all[m[1]]...)
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, l[1]) {
				labels = append(labels, l[1])
			}
		}
		all[m[1]] = labels
	}
	return all
}

// A collector that is not there costs no transaction and no clean end, and is counted.
func TestNobodyCollects(t *testing.T) {
	w := newWorld(t)
	nobody, a := freePort(t), freePort(t)
	w.publish(t, mixed()...)
	c := &collector{grpc: nobody}
	retail := w.retail(t, c.env("OTEL_EXPORTER_OTLP_TIMEOUT=1000"), "--admin", a)
	w.await(t, mixedScored+mixedCancelled, "RETAIL_OUT", "retail.*", retail)
	eventually(t, func() error {
		page, _, err := fetch(t, "http://"+a+"/metrics", nil)
		if err != nil {
			return err
		}
		for _, signal := range []string{"traces", "metrics", "logs"} {
			failed := regexp.MustCompile(`ergon_telemetry_failures_total\{[^}]*ergon_signal="` + signal + `"[^}]*\} [1-9]`)
			if !failed.Match(page) {
				return fmt.Errorf("no failed export of %s is counted", signal)
			}
		}
		return nil
	})
	retail.stop(t)
}
