package telemetry_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/telemetry"
)

// tasks are as many engines that have run.
func tasks(b *testing.B, n int) func() []engine.Metrics {
	var all []*engine.Engine
	for i := range n {
		f := &faulty{}
		e := f.engine(b, fmt.Sprintf("task-%d", i))
		if i == 0 {
			if _, err := e.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		all = append(all, e)
	}
	return func() (m []engine.Metrics) {
		for _, e := range all {
			m = append(m, e.Metrics())
		}
		return m
	}
}

// BenchmarkProduce is of reading, with the engines' snapshots and without.
func BenchmarkProduce(b *testing.B) {
	for _, n := range []int{1, 100} {
		source := tasks(b, n)
		taken := source()
		for name, source := range map[string]func() []engine.Metrics{
			"with-snapshots": source, "alone": func() []engine.Metrics { return taken },
		} {
			for kind, histogram := range map[string]telemetry.HistogramKind{"explicit": telemetry.HistogramExplicit, "exponential": telemetry.HistogramExponential} {
				b.Run(fmt.Sprintf("tasks=%d/%s/%s", n, kind, name), func(b *testing.B) {
					m := telemetry.NewMetrics(telemetry.MetricsOptions{Source: source, Histogram: histogram})
					b.ReportAllocs()
					for b.Loop() {
						if _, err := m.Produce(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkScrape is of a whole answer to Prometheus.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("tasks=%d", n), func(b *testing.B) {
			handler, _ := exposed(b, telemetry.NewMetrics(telemetry.MetricsOptions{Source: tasks(b, n)}))
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "B/answer")
		})
	}
}
