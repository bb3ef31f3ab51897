package peers

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const collectorConfig = `
receivers: { otlp: { protocols: { grpc: { endpoint: %q }, http: { endpoint: %q } } } }
exporters: { file: { directory: %q } }
service:
  telemetry: { metrics: { level: none } }
  pipelines:
    traces: { receivers: [otlp], exporters: [file] }
    metrics: { receivers: [otlp], exporters: [file] }
    logs: { receivers: [otlp], exporters: [file] }
`

// collector is a running OpenTelemetry Collector.
type collector struct {
	*process
	grpc, http string
	dir        string
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{grpc: freePort(t), http: freePort(t), dir: t.TempDir()}
	config := filepath.Join(c.dir, "collector.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, collectorConfig, c.grpc, c.http, c.dir), 0o600))
	c.process = start(t, c.dir, nil, program(t, "collector"), "--config", config)
	c.listening(t, c.grpc)
	c.listening(t, c.http)
	return c
}

// env points an exporter at the collector, and makes it send soon.
func (c *collector) env(more ...string) []string {
	return append([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp",
		"OTEL_METRIC_EXPORT_INTERVAL=500", "OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_BLRP_SCHEDULE_DELAY=200",
	}, more...)
}

// lines are the batches in one of its files that are written whole.
func (c *collector) lines(t *testing.T, name string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	require.NoError(t, err)
	all := bytes.Split(data, []byte("\n"))
	return all[:len(all)-1]
}

// span is one that arrived, with whose it is.
type span struct {
	ptrace.Span
	resource pcommon.Map
	scope    string
}

func (s span) attr(name string) string { return text(s.Attributes(), name) }

func text(m pcommon.Map, name string) string {
	if v, ok := m.Get(name); ok {
		return v.AsString()
	}
	return ""
}

func (c *collector) spans(t *testing.T) (all []span) {
	t.Helper()
	for _, line := range c.lines(t, "traces.jsonl") {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		require.NoError(t, err)
		for _, r := range td.ResourceSpans().All() {
			for _, s := range r.ScopeSpans().All() {
				for _, sp := range s.Spans().All() {
					all = append(all, span{sp, r.Resource().Attributes(), s.Scope().Name()})
				}
			}
		}
	}
	return all
}

// trace are the spans of one trace.
func (c *collector) trace(t *testing.T, id string) (all []span) {
	t.Helper()
	for _, s := range c.spans(t) {
		if s.TraceID().String() == id {
			all = append(all, s)
		}
	}
	return all
}

// record is a log record that arrived.
type record struct {
	plog.LogRecord
	resource pcommon.Map
}

func (r record) attr(name string) string { return text(r.Attributes(), name) }

func (c *collector) records(t *testing.T) (all []record) {
	t.Helper()
	for _, line := range c.lines(t, "logs.jsonl") {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		require.NoError(t, err)
		for _, r := range ld.ResourceLogs().All() {
			for _, s := range r.ScopeLogs().All() {
				for _, l := range s.LogRecords().All() {
					all = append(all, record{l, r.Resource().Attributes()})
				}
			}
		}
	}
	return all
}

// series is a metric with its attributes as name{key=value,…}, keys in order, and what
// it was last: a sum, a gauge, or the count of a histogram.
func (c *collector) series(t *testing.T) map[string]float64 {
	t.Helper()
	last := map[string]float64{}
	for _, line := range c.lines(t, "metrics.jsonl") { // in the order of time
		md, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
		require.NoError(t, err)
		for _, r := range md.ResourceMetrics().All() {
			for _, s := range r.ScopeMetrics().All() {
				for _, m := range s.Metrics().All() {
					collectPoints(m, last)
				}
			}
		}
	}
	return last
}

func collectPoints(m pmetric.Metric, into map[string]float64) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		numbers(m.Name(), m.Sum().DataPoints(), into)
	case pmetric.MetricTypeGauge:
		numbers(m.Name(), m.Gauge().DataPoints(), into)
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			into[seriesName(m.Name(), p.Attributes())] = float64(p.Count())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			into[seriesName(m.Name(), p.Attributes())] = float64(p.Count())
		}
	}
}

func numbers(name string, points pmetric.NumberDataPointSlice, into map[string]float64) {
	for _, p := range points.All() {
		v := p.DoubleValue()
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			v = float64(p.IntValue())
		}
		into[seriesName(name, p.Attributes())] = v
	}
}

func seriesName(name string, attrs pcommon.Map) string {
	raw := attrs.AsRaw()
	var pairs []string
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		pairs = append(pairs, fmt.Sprintf("%s=%v", k, raw[k]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// sum adds the series of a metric that have all of these pairs.
func sum(series map[string]float64, name string, pairs ...string) (total float64) {
	for s, v := range series {
		rest, ok := strings.CutPrefix(s, name+"{")
		have := strings.Split(strings.TrimSuffix(rest, "}"), ",")
		if ok && !slices.ContainsFunc(pairs, func(p string) bool { return !slices.Contains(have, p) }) {
			total += v
		}
	}
	return total
}
