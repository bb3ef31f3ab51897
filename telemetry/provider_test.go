package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/telemetry"
)

// start makes a Telemetry with variables instead of the process's.
func start(t testing.TB, c telemetry.Config, vars map[string]string, with ...func(*telemetry.Options)) *telemetry.Telemetry {
	t.Helper()
	o := telemetry.Options{
		Config: c, Version: "1.2.3", Logger: slog.New(slog.DiscardHandler),
		Env: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
	}
	for _, w := range with {
		w(&o)
	}
	tel, err := telemetry.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { // what a test has shut down stays so
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = tel.Shutdown(ctx)
	})
	return tel
}

// tell tells a tracer of n transactions.
func tell(tr *telemetry.Tracer, n int) {
	now := time.Now()
	tx := ergon.New([]byte("SECRET"), ergon.WithID("tx-1"), ergon.WithSource("test"))
	for range n {
		b := tr.Begin(tx, ergon.DeliveryInfo{})
		b.End(engine.TraceRecord{
			Task: "t", Transaction: tx, Began: now, Ended: now, Outcome: engine.Succeeded,
			Attempts: []engine.AttemptRecord{{Phase: ergon.PhaseProcess, Attempt: 1, Began: now, Ended: now}},
		})
	}
}

const spansEach = 3 // transaction, process, process.attempt.1

func TestOffCostsNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	tel := start(t, telemetry.Config{}, nil)
	require.Nil(t, tel.Tracer())
	require.Nil(t, tel.Tracer().With(telemetry.View{Link: true}))
	require.Nil(t, engine.Tracer(tel.Tracer()).Begin(ergon.Raw{}, ergon.DeliveryInfo{}), "which an engine takes for none")
	require.Equal(t, noop.NewMeterProvider(), tel.MeterProvider())
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
	require.Equal(t, map[string]int64{"traces": 0, "metrics": 0, "logs": 0}, tel.Failures())
	require.NoError(t, tel.Shutdown(t.Context()))
	require.NoError(t, tel.Shutdown(t.Context()))
}

func TestErrorsNameEveryFault(t *testing.T) {
	_, err := telemetry.New(t.Context(), telemetry.Options{
		Config: telemetry.Config{Logs: telemetry.LogsConfig{Exporter: "x"}},
		Env:    func(name string) (string, bool) { return "some", name == "OTEL_TRACES_EXPORTER" },
	})
	require.ErrorContains(t, err, "telemetry.logs.exporter")
	require.ErrorContains(t, err, "OTEL_TRACES_EXPORTER")
}

// All three signals arrive, with whose they are, by gRPC.
func TestEverythingArrives(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{
		Service: "shop", Resource: map[string]string{"zone": "a"},
		OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr, Headers: map[string]string{"Api-Key": "k1"}, Compression: "gzip"},
		Logs: telemetry.LogsConfig{Exporter: "otlp"},
	}, nil, func(o *telemetry.Options) {
		o.Producers = []sdkmetric.Producer{oneMetric{}, oneMetric{errors.New("no")}}
	})
	tell(tel.Tracer(), 1)
	counter, err := tel.MeterProvider().Meter("m").Int64Counter("sold")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	slog.New(tel.Handler(slog.DiscardHandler)).Info("not wanted")
	slog.New(tel.Handler(&lines{})).Info("wanted")
	require.NoError(t, tel.Shutdown(t.Context()))

	spans, metrics, records := c.got()
	require.Equal(t, spansEach, spans)
	require.Positive(t, metrics)
	var names []string
	for _, m := range c.metrics {
		names = append(names, m.GetName())
	}
	require.Subset(t, names, []string{"sold", "made", "ergon.telemetry.failures", "go.goroutine.count"}, "though one producer failed")
	require.Equal(t, 1, records)
	require.Equal(t, "wanted", c.records[0].Body.GetStringValue())
	require.Equal(t, []string{"k1"}, c.headers["api-key"])
	require.Equal(t, "shop", c.whose["service.name"])
	require.Equal(t, "1.2.3", c.whose["service.version"])
	require.Equal(t, "a", c.whose["zone"])
	for _, name := range []string{"service.instance.id", "host.name", "process.executable.name", "telemetry.sdk.name"} {
		require.NotEmpty(t, c.whose[name], name)
	}
	require.NotContains(t, c.whose, "process.command_args")
	require.Equal(t, map[string]int64{"traces": 0, "metrics": 0, "logs": 0}, tel.Failures())
}

func TestEverythingArrivesByHTTP(t *testing.T) {
	url, c, paths := collectHTTP(t)
	tel := start(t, telemetry.Config{
		OTLP: telemetry.OTLPConfig{Endpoint: url, Protocol: "http/protobuf", Headers: map[string]string{"Api-Key": "k1"}, Compression: "gzip"},
		Logs: telemetry.LogsConfig{Exporter: "otlp"},
	}, map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": "none"})
	tell(tel.Tracer(), 1)
	counter, err := tel.MeterProvider().Meter("m").Int64Counter("sold")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	slog.New(tel.Handler(&lines{})).Info("wanted")
	require.NoError(t, tel.Shutdown(t.Context()))
	require.ElementsMatch(t, []string{"/v1/traces", "/v1/metrics", "/v1/logs"}, paths())
	spans, _, _ := c.got()
	require.Equal(t, spansEach, spans)
	require.Equal(t, []string{"k1"}, c.headers["api-key"])
	require.Equal(t, []string{""}, c.headers["encoding"])
}

// What the exporters and the SDK read by themselves agrees with what is given to them,
// or is overruled by it.
func TestTheProcessesOwnVariables(t *testing.T) {
	c := collect(t)
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + c.addr, "OTEL_EXPORTER_OTLP_HEADERS": "who=all",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "who=traces", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "60000", "OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_SERVICE_NAME": "env",
		"OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere", // of no use without TLS
	} {
		t.Setenv(name, value)
	}
	tel := start(t, telemetry.Config{
		OTLP: telemetry.OTLPConfig{Endpoint: "http://127.0.0.1:1", Headers: map[string]string{"who": "file"}, Timeout: time.Nanosecond},
	}, nil, func(o *telemetry.Options) { o.Env = os.LookupEnv })
	tell(tel.Tracer(), 1)
	require.Eventually(t, func() bool { spans, _, _ := c.got(); return spans == spansEach }, 10*time.Second, time.Millisecond, "after a millisecond")
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Equal(t, "env", c.whose["service.name"])
	require.Equal(t, int64(0), tel.Failures()["traces"])
}

// A receiver is believed whose certificate the authority signed that is given, and no
// other, by either protocol.
func TestTLS(t *testing.T) {
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		addr, ca, c := collectTLS(t, protocol)
		for _, file := range []string{ca, ""} {
			tel := start(t, telemetry.Config{
				OTLP:    telemetry.OTLPConfig{Endpoint: addr, Protocol: protocol, CA: file, Timeout: 5 * time.Second},
				Metrics: telemetry.MetricsConfig{Exporter: "none"},
			}, nil)
			tell(tel.Tracer(), 1)
			before, _, _ := c.got()
			err := tel.Shutdown(t.Context())
			after, _, _ := c.got()
			if file == "" {
				require.Eventually(t, func() bool { return tel.Failures()["traces"] > 0 }, generous, time.Millisecond)
				require.Equal(t, before, after)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, before+spansEach, after)
		}
	}
}

func TestHeadersOfOneSignal(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr, Headers: map[string]string{"who": "file"}}},
		map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "who=all", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "who=traces", "OTEL_METRICS_EXPORTER": "none"})
	tell(tel.Tracer(), 1)
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Equal(t, []string{"traces"}, c.headers["who"])
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	tel := start(t, telemetry.Config{}, map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "console"},
		func(o *telemetry.Options) { o.Console = &out })
	tell(tel.Tracer(), 1)
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Contains(t, out.String(), "process.attempt.1")
	require.NotContains(t, out.String(), "SECRET")
}

// A reader is served whatever the exporter is, with explicit histograms.
func TestReaders(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	tel := start(t, telemetry.Config{Metrics: telemetry.MetricsConfig{Histogram: "exponential"}}, map[string]string{"OTEL_SDK_DISABLED": "true"},
		func(o *telemetry.Options) { o.Readers = []sdkmetric.Reader{reader} })
	require.Nil(t, tel.Tracer())
	h, err := tel.MeterProvider().Meter("m").Int64Histogram("h")
	require.NoError(t, err)
	h.Record(t.Context(), 1)
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name == "m" {
			require.IsType(t, metricdata.Histogram[int64]{}, scope.Metrics[0].Data)
		}
	}
	require.Len(t, rm.ScopeMetrics, 2, "and the runtime's")
	require.NoError(t, tel.Shutdown(t.Context()))
	require.ErrorIs(t, reader.Collect(t.Context(), &rm), sdkmetric.ErrReaderShutdown)
}

func TestExponentialHistograms(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{
		OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Metrics: telemetry.MetricsConfig{Histogram: "exponential"},
	}, nil)
	h, err := tel.MeterProvider().Meter("m").Int64Histogram("h", metric.WithUnit("s"))
	require.NoError(t, err)
	h.Record(t.Context(), 1)
	require.NoError(t, tel.Shutdown(t.Context()))
	for _, m := range c.metrics {
		if m.GetName() == "h" {
			require.NotNil(t, m.GetExponentialHistogram())
			return
		}
	}
	require.Fail(t, "it did not arrive")
}

// oneMetric produces one metric, and perhaps an error.
type oneMetric struct{ err error }

func (p oneMetric) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	if p.err != nil {
		return nil, p.err
	}
	return []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{{Name: "made", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Value: 1}}}}}}}, nil
}
