package peers

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// everything serves one series of every metric that semconv names, in the words of
// OpenTelemetry's own exporter.
func everything(t *testing.T) *httptest.Server {
	t.Helper()
	registry := promclient.NewRegistry()
	reader, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo())
	require.NoError(t, err)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	meter := provider.Meter("everything")
	for _, m := range semconv.Metrics() {
		var attrs []attribute.KeyValue
		for _, a := range m.Attributes {
			attrs = append(attrs, attribute.String(a, "some"))
		}
		with := metric.WithAttributes(attrs...)
		switch m.Kind {
		case semconv.KindCounter:
			c, err := meter.Int64Counter(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
			require.NoError(t, err)
			c.Add(t.Context(), 1, with)
		case semconv.KindGauge:
			g, err := meter.Int64Gauge(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
			require.NoError(t, err)
			g.Record(t.Context(), 1, with)
		case semconv.KindHistogram:
			h, err := meter.Float64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithDescription(m.Description))
			require.NoError(t, err)
			h.Record(t.Context(), 1, with)
		}
	}
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	return server
}

// The names by which the dashboard and the alerts go are those that OpenTelemetry's
// exporter makes of semconv, and Prometheus stores. Its linter has nothing against them.
func TestNamesAreOpenTelemetrys(t *testing.T) {
	server := everything(t)
	page, status, err := fetch(t, server.URL, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	lint(t, page)

	p := startPrometheus(t, strings.TrimPrefix(server.URL, "http://"))
	p.becomes(t, 1, `sum(up{job="ergon"})`)
	p.becomes(t, 1, `sum(ergon_ready)`)
	for name, labels := range known() {
		if !strings.HasPrefix(name, "ergon_") {
			continue
		}
		samples, err := p.query(t, name)
		require.NoError(t, err)
		require.NotEmpty(t, samples, "there is no %s", name)
		have := slices.Sorted(maps.Keys(samples[0].Metric))
		want := append([]string{"__name__", "instance", "job"}, labels...)
		slices.Sort(want)
		require.Equal(t, want, have, name)
	}
	p.answersDashboard(t)
	p.stop(t)
}

// answersDashboard requires that Prometheus takes every query of the dashboard, and
// has the rules of the alerts in force.
func (p *prometheus) answersDashboard(t *testing.T) {
	t.Helper()
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			_, err := p.query(t, expand(target.Expr))
			require.NoError(t, err, "%s: %s", panel.Title, target.Expr)
		}
	}
	eventually(t, func() error {
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
		if err := p.api(t, "/api/v1/rules", &answer); err != nil {
			return err
		}
		n := 0
		for _, g := range answer.Groups {
			for _, r := range g.Rules {
				require.NotEqual(t, "err", r.Health, "%s: %s", r.Name, r.LastError)
				if r.Health == "ok" {
					n++
				}
			}
		}
		if n != len(readAlerts(t)) {
			return fmt.Errorf("%d rules of %d were evaluated", n, len(readAlerts(t)))
		}
		return nil
	})
}
