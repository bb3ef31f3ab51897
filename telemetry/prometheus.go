package telemetry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// Prometheus returns a handler that shows these metrics to a Prometheus that scrapes
// it, and the Reader behind it. That must be registered with a MeterProvider
// (sdkmetric.WithReader): before, the handler shows nothing. What instruments of that
// provider count is shown as well, and its resource as target_info.
//
// Names are translated as Prometheus has them: ergon.phase.duration in seconds is
// ergon_phase_duration_seconds. The instrumentation scope is no label, since there
// would be three more on each series that say the same everywhere. So of two scopes
// that have a metric of one name with equal attributes only the first is shown, and
// OpenTelemetry's error handler is told.
//
// With HistogramExponential durations are native histograms. They need a Prometheus
// that asks for the protobuf format (scrape_native_histograms, or the feature flag
// native-histograms before 3.0). The text formats can't show them: of each there is
// its count and sum and a single bucket, +Inf.
func (m *Metrics) Prometheus() (sdkmetric.Reader, http.Handler, error) {
	registry := prometheus.NewRegistry()
	reader, err := otelprom.New(
		otelprom.WithRegisterer(registry),
		otelprom.WithProducer(m),
		otelprom.WithoutScopeInfo(),
		// The default depends on a variable of another module.
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("make an exporter for Prometheus: %w", err)
	}
	return reader, promhttp.HandlerFor(asPrometheusNames{registry}, promhttp.HandlerOpts{
		// One instrument that can't be shown must not hide all the others.
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          scrapeErrors{},
		EnableOpenMetrics: true, // the only text format with exemplars
	}), nil
}

// asPrometheusNames calls the number of goroutines what Prometheus' own Go collector
// calls it: OpenTelemetry's name ends in _count, which is for histograms there, and
// promtool says so.
type asPrometheusNames struct{ prometheus.Gatherer }

func (g asPrometheusNames) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.Gatherer.Gather()
	for _, f := range families {
		if f.GetName() == "go_goroutine_count" {
			name := "go_goroutines"
			f.Name = &name
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// scrapeErrors go where the SDK's own errors go.
type scrapeErrors struct{}

func (scrapeErrors) Println(v ...any) { otel.Handle(fmt.Errorf("scrape: %s", fmt.Sprint(v...))) }
