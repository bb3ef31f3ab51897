package config_test

import (
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/telemetry"
)

func TestTelemetry(t *testing.T) {
	ratio := 0.25
	c := parse(t, `
telemetry:
  service: scoring
  resource: { deployment.environment.name: staging }
  otlp: { endpoint: "https://collector:4317", protocol: grpc, headers: { authorization: hunter2 }, timeout: 5s, compression: gzip }
  traces: { sampler: parentbased_traceidratio, ratio: .25 }
  metrics: { interval: 15s, histogram: exponential }
  logs: { exporter: otlp, payloads: true }
  sensitive: [card*]
`)
	want := telemetry.Config{
		Service: "scoring", Resource: map[string]string{"deployment.environment.name": "staging"},
		OTLP: telemetry.OTLPConfig{
			Endpoint: "https://collector:4317", Protocol: "grpc", Headers: map[string]string{"authorization": "hunter2"},
			Timeout: 5 * time.Second, Compression: "gzip",
		},
		Traces:    telemetry.TracesConfig{Sampler: "parentbased_traceidratio", Ratio: &ratio},
		Metrics:   telemetry.MetricsConfig{Interval: 15 * time.Second, Histogram: "exponential"},
		Logs:      telemetry.LogsConfig{Exporter: "otlp", Payloads: true},
		Sensitive: []string{"card*"},
	}
	require.Equal(t, want, c.Telemetry)
	document, err := yaml.Marshal(c)
	require.NoError(t, err)
	require.NotContains(t, string(document), "hunter2")
	again, err := config.Parse("", document, none)
	require.NoError(t, err)
	want.OTLP = want.OTLP.Redacted()
	require.Equal(t, want, again.Telemetry)
}

// Each fault has its place.
func TestTelemetryFaults(t *testing.T) {
	_, err := config.Parse("ergon.yaml", []byte(`telemetry:
  otlp: { endpoint: "ftp://x", protocol: smtp }
  traces: { sampler: sometimes, ratio: 0x }
  metrics: { interval: -1s }
`), none)
	var faults *config.Error
	require.ErrorAs(t, err, &faults)
	var places []string
	for _, f := range faults.Faults {
		places = append(places, f.Path)
	}
	require.Equal(t, []string{"telemetry.otlp.endpoint", "telemetry.otlp.protocol", "telemetry.traces.sampler", "telemetry.traces.ratio", "telemetry.metrics.interval"}, places)
	require.Equal(t, 3, faults.Faults[2].Line)
}
