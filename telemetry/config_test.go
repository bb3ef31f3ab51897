package telemetry_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/telemetry"
)

// Each fault is found, with its setting's path, and all of them at once.
func TestValidateNamesWhatIsWrong(t *testing.T) {
	half, two, nan := 0.5, 2.0, math.NaN()
	for want, c := range map[string]telemetry.Config{
		"telemetry.otlp.endpoint: it names a user":                {OTLP: telemetry.OTLPConfig{Endpoint: "https://u:hunter2@h:1"}},
		"telemetry.otlp.endpoint: it is not a receiver's address": {OTLP: telemetry.OTLPConfig{Endpoint: "http://hunter2 h"}},
		"telemetry.otlp.endpoint: its scheme is unknown":          {OTLP: telemetry.OTLPConfig{Endpoint: "ftp://h"}},
		"telemetry.otlp.endpoint: it has a query":                 {OTLP: telemetry.OTLPConfig{Endpoint: "https://h?key=hunter2"}},
		"has no TLS, and ca and cert ask for it":                  {OTLP: telemetry.OTLPConfig{Endpoint: "http://h", CA: "ca.pem"}},
		`telemetry.otlp.protocol: "udp" is unknown`:               {OTLP: telemetry.OTLPConfig{Protocol: "udp"}},
		`telemetry.otlp.headers: "a b"`:                           {OTLP: telemetry.OTLPConfig{Headers: map[string]string{"a b": "hunter2"}}},
		`telemetry.otlp.headers: "key"`:                           {OTLP: telemetry.OTLPConfig{Headers: map[string]string{"key": "hunter2\n"}}},
		"telemetry.otlp.cert: cert and key need each other":       {OTLP: telemetry.OTLPConfig{Cert: "c"}},
		"telemetry.otlp.timeout: -1s":                             {OTLP: telemetry.OTLPConfig{Timeout: -time.Second}},
		`telemetry.otlp.compression: "zstd"`:                      {OTLP: telemetry.OTLPConfig{Compression: "zstd"}},
		`telemetry.traces.exporter: "jaeger"`:                     {Traces: telemetry.TracesConfig{Exporter: "jaeger"}},
		"telemetry.traces.sampler: there is no trace sampler":     {Traces: telemetry.TracesConfig{Sampler: "sometimes"}},
		"telemetry.traces.sampler: always_on takes no ratio":      {Traces: telemetry.TracesConfig{Sampler: "always_on", Ratio: &half}},
		"telemetry.traces.ratio: it is 2":                         {Traces: telemetry.TracesConfig{Ratio: &two}},
		"telemetry.traces.ratio: it is NaN":                       {Traces: telemetry.TracesConfig{Ratio: &nan}},
		`telemetry.metrics.exporter: "prometheus"`:                {Metrics: telemetry.MetricsConfig{Exporter: "prometheus"}},
		"telemetry.metrics.interval: -1s":                         {Metrics: telemetry.MetricsConfig{Interval: -time.Second}},
		`telemetry.metrics.histogram: "log"`:                      {Metrics: telemetry.MetricsConfig{Histogram: "log"}},
		`telemetry.logs.exporter: "console"`:                      {Logs: telemetry.LogsConfig{Exporter: "console"}},
		"telemetry.sensitive":                                     {Sensitive: []string{"[a"}},
		"telemetry.resource":                                      {Resource: map[string]string{" ": "x"}},
	} {
		err := c.Validate()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2", want)
	}
	require.NoError(t, telemetry.Config{}.Validate())
	require.NoError(t, telemetry.Config{Traces: telemetry.TracesConfig{Ratio: &half}}.Validate())
	err := telemetry.Config{Logs: telemetry.LogsConfig{Exporter: "x"}, OTLP: telemetry.OTLPConfig{Protocol: "y"}}.Validate()
	require.ErrorContains(t, err, "telemetry.logs.exporter")
	require.ErrorContains(t, err, "telemetry.otlp.protocol")
}

func TestPrintsWithoutSecrets(t *testing.T) {
	c := telemetry.Config{OTLP: telemetry.OTLPConfig{
		Endpoint: "https://u:hunter2@host:1", Headers: map[string]string{"api-key": "hunter2"}, Insecure: true, Timeout: time.Second,
	}}
	var out strings.Builder
	for _, value := range []any{c, &c, c.OTLP, &c.OTLP, []telemetry.OTLPConfig{c.OTLP}} {
		for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
			for _, flag := range []string{"", "+", "#", "010."} {
				_, _ = fmt.Fprintf(&out, "%"+flag+string(verb)+"\n", value)
			}
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "c", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "c", value)
		j, err := json.Marshal(value)
		require.NoError(t, err)
		y, err := yaml.Marshal(value)
		require.NoError(t, err)
		out.Write(append(j, y...))
	}
	require.NotContains(t, out.String(), "hunter2")
	require.NotContains(t, out.String(), fmt.Sprintf("%x", "hunter2"))
	require.Contains(t, out.String(), "xxxxx@host:1")
	require.Contains(t, out.String(), "api-key")
	require.Equal(t, "hunter2", c.OTLP.Headers["api-key"], "and it is still there")
}

// Every setting has a key, and a comment that says what it is and its default.
func TestEveryKeyIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	types := 0
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		types++
		require.NotEmpty(t, general.Doc.Text())
		doc := ""
		for _, f := range general.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
			require.Regexp(t, "^`yaml:\"[a-z_]+\" json:\"[a-z_]+,omit(empty|zero)\"`$", f.Tag.Value)
			if f.Doc.Text() != "" {
				doc = f.Doc.Text()
			}
			require.Regexp(t, `(?i)default`, doc, f.Tag.Value)
		}
	}
	require.Equal(t, 5, types)
}
