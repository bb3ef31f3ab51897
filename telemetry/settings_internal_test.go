package telemetry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func environmentOf(vars map[string]string) environment {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func resolve(t *testing.T, c Config, vars map[string]string) settings {
	t.Helper()
	s, err := environmentOf(vars).resolve(c)
	require.NoError(t, err)
	return s
}

func TestExportersByDefault(t *testing.T) {
	file := Config{OTLP: OTLPConfig{Endpoint: "http://h:1"}}
	for _, c := range []struct {
		name                  string
		file                  Config
		vars                  map[string]string
		traces, metrics, logs string
	}{
		{"nothing", Config{}, nil, "none", "none", "none"},
		{"file", file, nil, "otlp", "otlp", "none"},
		{"variable", Config{}, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}, "otlp", "otlp", "none"},
		{"empty variable", Config{}, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, "none", "none", "none"},
		{"variable of one", Config{}, map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h"}, "none", "otlp", "none"},
		{"disabled", file, map[string]string{"OTEL_SDK_DISABLED": "True", "OTEL_LOGS_EXPORTER": "otlp"}, "none", "none", "none"},
		{"not disabled", file, map[string]string{"OTEL_SDK_DISABLED": "False"}, "otlp", "otlp", "none"},
		{"chosen", file, map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_LOGS_EXPORTER": "otlp"}, "console", "none", "otlp"},
	} {
		s := resolve(t, c.file, c.vars)
		require.Equal(t, []string{c.traces, c.metrics, c.logs}, []string{s.traces.kind, s.metrics.kind, s.logs.kind}, c.name)
	}
}

// A variable wins over the file, and a signal's over that of all.
func TestVariablesWin(t *testing.T) {
	ratio := 0.25
	file := Config{
		Service: "file", Resource: map[string]string{"a": "file", "b": "file"},
		OTLP: OTLPConfig{
			Endpoint: "https://file:1/base", Protocol: "http/protobuf", Headers: map[string]string{"k": "file"},
			Timeout: time.Second, Compression: "gzip",
		},
		Traces:  TracesConfig{Ratio: &ratio},
		Metrics: MetricsConfig{Interval: time.Second, Histogram: "exponential"},
	}
	s := resolve(t, file, nil)
	require.Equal(t, receiver{
		protocol: "http/protobuf", url: "https://file:1/base/v1/traces", secure: true,
		headers: map[string]string{"k": "file"}, timeout: time.Second, gzip: true,
	}, s.traces.otlp)
	require.Equal(t, "https://file:1/base/v1/metrics", s.metrics.otlp.url)
	require.Equal(t, map[string]string{"service.name": "file", "a": "file", "b": "file"}, s.attributes)
	require.Equal(t, HistogramExponential, s.histogram)
	require.Equal(t, time.Second, s.interval)
	require.Equal(t, Sampler{parentBased: true, bound: 1 << 61}, s.sampler)

	s = resolve(t, file, map[string]string{
		"OTEL_SERVICE_NAME": "env", "OTEL_RESOURCE_ATTRIBUTES": "b=e%20nv, c=env,service.name=lesser",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:2", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces:3/exact",
		"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_HEADERS": "k=e%3Dnv,l=m",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "only=traces", "OTEL_EXPORTER_OTLP_TIMEOUT": "5", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "7",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_TRACES_SAMPLER_ARG": "0.5", "OTEL_METRIC_EXPORT_INTERVAL": "1500",
		"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "explicit_bucket_histogram",
		"OTEL_BSP_MAX_QUEUE_SIZE":                                  "10", "OTEL_BLRP_MAX_QUEUE_SIZE": "30",
	})
	require.Equal(t, receiver{
		protocol: "http/protobuf", url: "http://traces:3/exact", headers: map[string]string{"only": "traces"}, timeout: 5 * time.Millisecond,
	}, s.traces.otlp)
	require.Equal(t, receiver{
		protocol: "grpc", url: "http://all:2", headers: map[string]string{"k": "e=nv", "l": "m"}, timeout: 7 * time.Millisecond,
	}, s.metrics.otlp)
	require.Equal(t, map[string]string{"service.name": "env", "a": "file", "b": "e nv", "c": "env"}, s.attributes)
	require.Equal(t, HistogramExplicit, s.histogram)
	require.Equal(t, 1500*time.Millisecond, s.interval)
	require.Equal(t, Sampler{parentBased: true, bound: 1 << 62}, s.sampler)
	require.Equal(t, []int{10, 30}, []int{s.spanQueue, s.recordQueue})

	require.Equal(t, Sampler{}, resolve(t, file, map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}).sampler)
	require.Equal(t, Sampler{parentBased: true, bound: 1 << 63}, resolve(t, Config{}, map[string]string{"OTEL_TRACES_SAMPLER_ARG": "0.5"}).sampler, "it has no sampler to be of")
	require.Equal(t, Sampler{bound: 1 << 61}, resolve(t, file, map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio"}).sampler, "with the file's ratio")
}

func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		endpoint, protocol string
		insecure           bool
		want               string
	}{
		{"", "grpc", false, "http://localhost:4317"},
		{"", "http/protobuf", false, "http://localhost:4318/v1/traces"},
		{"h:1", "grpc", false, "https://h:1"},
		{"h:1", "grpc", true, "http://h:1"},
		{"h", "grpc", true, "http://h:4317"},
		{"[::1]", "http/protobuf", true, "http://[::1]:4318/v1/traces"},
		{"https://h:1", "grpc", true, "https://h:1"},
		{"https://h", "grpc", false, "https://h:4317"},
		{"https://h", "http/protobuf", false, "https://h/v1/traces"},
		{"http://h:1/", "http/protobuf", false, "http://h:1/v1/traces"},
	} {
		s := resolve(t, Config{
			OTLP:   OTLPConfig{Endpoint: c.endpoint, Protocol: c.protocol, Insecure: c.insecure},
			Traces: TracesConfig{Exporter: "otlp"},
		}, nil)
		require.Equal(t, c.want, s.traces.otlp.url, "%+v", c)
	}
	vars := map[string]string{"OTEL_EXPORTER_OTLP_INSECURE": "true"}
	require.Equal(t, "http://h:1", resolve(t, Config{OTLP: OTLPConfig{Endpoint: "h:1"}}, vars).traces.otlp.url)
	vars = map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
	require.Equal(t, "http://h:1/", resolve(t, Config{}, vars).traces.otlp.url, "its path is the signal's")
}

// What can't be read is an error that names the variable, and shows no secret.
func TestVariablesThatMakeNoSense(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_METRICS_EXPORTER": "x", "OTEL_LOGS_EXPORTER": "console",
		"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "zstd",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "10s", "OTEL_EXPORTER_OTLP_HEADERS": "hunter2", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=hunter2%",
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS": "a=hunter2%0A", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:hunter2@h",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/nowhere",
		"OTEL_TRACES_SAMPLER": "some", "OTEL_TRACES_SAMPLER_ARG": "many", "OTEL_METRIC_EXPORT_INTERVAL": "0",
		"OTEL_RESOURCE_ATTRIBUTES":                                 "a",
		"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "round",
	} {
		_, err := environmentOf(map[string]string{name: value}).resolve(Config{
			OTLP: OTLPConfig{Endpoint: "https://h"}, Traces: TracesConfig{Sampler: "traceidratio"},
		})
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestCertificates(t *testing.T) {
	cert, key := certificate(t)
	s := resolve(t, Config{OTLP: OTLPConfig{Endpoint: "https://h", CA: cert, Cert: cert, Key: key}}, nil)
	require.NotNil(t, s.traces.otlp.tls.RootCAs)
	require.Len(t, s.traces.otlp.tls.Certificates, 1)
	s = resolve(t, Config{OTLP: OTLPConfig{Endpoint: "https://h", CA: "/nowhere"}}, map[string]string{
		"OTEL_EXPORTER_OTLP_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": key,
	})
	require.Len(t, s.traces.otlp.tls.Certificates, 1)
	require.NotNil(t, s.traces.otlp.tls.RootCAs)
	_, err := environmentOf(nil).resolve(Config{OTLP: OTLPConfig{Endpoint: "https://h", CA: key}})
	require.ErrorContains(t, err, "telemetry.otlp.ca")
}

// certificate returns the files of one that signed itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}

// A size that the SDK would panic at, or take for its standard, is an error that names
// its variable.
func TestSizesThatMakeNoSense(t *testing.T) {
	for _, name := range sizes {
		for _, value := range []string{"-1", "0", "5s", "9999999999999"} {
			_, err := environment(func(n string) (string, bool) { return value, n == name }).resolve(Config{})
			require.ErrorContains(t, err, name, value)
		}
	}
	_, err := environment(func(n string) (string, bool) { return "maybe", n == envDisabled }).resolve(Config{})
	require.ErrorContains(t, err, envDisabled)
}
