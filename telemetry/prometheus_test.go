package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/telemetry"
)

var update = flag.Bool("update", false, "write the golden files and the reference page anew")

const (
	acceptText        = "text/plain;version=0.0.4"
	acceptOpenMetrics = "application/openmetrics-text;version=1.0.0"
	acceptProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// exposed is a handler behind a provider, as an application has it.
func exposed(t testing.TB, m *telemetry.Metrics) (http.Handler, *sdkmetric.MeterProvider) {
	t.Helper()
	reader, handler, err := m.Prometheus()
	require.NoError(t, err)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader),
		sdkmetric.WithResource(resource.NewSchemaless(attribute.String("service.name", "test"))))
	t.Cleanup(func() { require.NoError(t, provider.Shutdown(context.Background())) })
	return handler, provider
}

func scrape(t testing.TB, h http.Handler, accept string) (contentType, body string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	return w.Header().Get("Content-Type"), w.Body.String()
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if that is as it should be: go test ./telemetry -update")
}

var number = regexp.MustCompile(`le="[^"]*",?| \S+$`)

// What Prometheus sees: each name and each set of labels is a promise to whoever wrote a
// query.
func TestNamesAndLabelsForPrometheus(t *testing.T) {
	handler, _ := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	contentType, body := scrape(t, handler, acceptText)
	require.Contains(t, contentType, "text/plain")
	series := map[string]bool{}
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			series[strings.Replace(number.ReplaceAllString(line, ""), ",}", "}", 1)] = true
		}
	}
	golden(t, "testdata/prometheus.txt", strings.Join(slices.Sorted(maps.Keys(series)), "\n")+"\n")
}

func TestOpenMetrics(t *testing.T) {
	handler, _ := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	contentType, body := scrape(t, handler, acceptOpenMetrics)
	require.Contains(t, contentType, "application/openmetrics-text")
	require.Contains(t, body, `ergon_phase_duration_seconds_bucket{ergon_phase="process",ergon_task="score",le="1.0"} 3`)
	require.True(t, strings.HasSuffix(body, "# EOF\n"))
}

// families are what a Prometheus reads that asks for protobuf.
func families(t testing.TB, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	contentType, body := scrape(t, h, acceptProtobuf)
	header := http.Header{"Content-Type": {contentType}}
	all := map[string]*dto.MetricFamily{}
	for decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.ResponseFormat(header)); ; {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			return all
		} else {
			require.NoError(t, err)
		}
		all[family.GetName()] = &family
	}
}

// Exponential buckets are a native histogram, which text has no words for.
func TestNativeHistograms(t *testing.T) {
	handler, _ := exposed(t, metricsOf(telemetry.HistogramExponential, everything("score")))
	all := families(t, handler)
	h := all["ergon_transaction_duration_seconds"].GetMetric()[0].GetHistogram()
	require.EqualValues(t, 3, h.GetSchema())
	require.EqualValues(t, 6, h.GetSampleCount())
	require.EqualValues(t, 1, h.GetZeroCount())
	require.EqualValues(t, -157, h.GetPositiveSpan()[0].GetOffset(), "Prometheus counts by the upper bound")
	require.Empty(t, h.GetBucket())
	require.NotEmpty(t, all["ergon_fetch_batch_size"].GetMetric()[0].GetHistogram().GetBucket(), "sizes stay as they are")

	for _, accept := range []string{acceptText, acceptOpenMetrics} {
		_, body := scrape(t, handler, accept)
		var buckets []string
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, `ergon_transaction_duration_seconds_bucket{ergon_outcome="dead"`) {
				buckets = append(buckets, line)
			}
		}
		require.Len(t, buckets, 1, accept)
		require.Contains(t, buckets[0], `le="+Inf"`)
	}
}

// One series that can't be shown hides no other, and is told of.
func TestAConflictHidesNothingElse(t *testing.T) {
	var mu sync.Mutex
	var told []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err)
	}))
	defer otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	handler, provider := exposed(t, metricsOf(telemetry.HistogramExplicit, everything("score")))
	for _, scope := range []string{"a", "b"} {
		c, err := provider.Meter(scope).Int64Counter("calls")
		require.NoError(t, err)
		c.Add(t.Context(), 1)
	}
	_, body := scrape(t, handler, acceptText)
	require.Contains(t, body, "ergon_ready")
	require.Contains(t, body, "calls_total 1\n")
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, told, 1)
	require.ErrorContains(t, told[0], "calls_total")
}

// Many may scrape at once, by several readers, while the engine works.
func TestConcurrentScrapes(t *testing.T) {
	f := &faulty{}
	e := f.engine(t, "score")
	m := telemetry.NewMetrics(telemetry.MetricsOptions{
		Source: func() []engine.Metrics { return []engine.Metrics{e.Metrics()} }, Histogram: telemetry.HistogramExponential,
	})
	handler, _ := exposed(t, m)
	ended := make(chan struct{})
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for running := true; running; {
				select {
				case <-ended:
					running = false // once more
				default:
				}
				if w := httptest.NewRecorder(); !get(handler, w) {
					t.Error(w.Body.String())
				}
				if _, err := m.Produce(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	_, err := e.Run(t.Context())
	close(ended)
	scrapers.Wait()
	require.NoError(t, err)
	require.Equal(t, f.expected(), collectFrom(t, m).counters)
}

func get(h http.Handler, w *httptest.ResponseRecorder) bool {
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Code == http.StatusOK && bytes.Contains(w.Body.Bytes(), []byte("ergon_ready"))
}
