package telemetry_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// collector is a receiver of OTLP that keeps what it gets. It refuses everything while
// its gate says so, and waits while hold is locked.
type collector struct {
	coltraces.UnimplementedTraceServiceServer
	addr   string
	refuse atomic.Pointer[error]
	hold   sync.RWMutex
	calls  atomic.Int64

	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics []*metricspb.Metric
	records []*logspb.LogRecord
	headers metadata.MD
	whose   map[string]string
}

type (
	metricsServer struct {
		colmetrics.UnimplementedMetricsServiceServer
		c *collector
	}
	logsServer struct {
		collogs.UnimplementedLogsServiceServer
		c *collector
	}
)

// collect starts one that speaks gRPC.
func collect(t testing.TB) *collector {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &collector{addr: l.Addr().String()}
	s := grpc.NewServer()
	coltraces.RegisterTraceServiceServer(s, c)
	colmetrics.RegisterMetricsServiceServer(s, metricsServer{c: c})
	collogs.RegisterLogsServiceServer(s, logsServer{c: c})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return c
}

func (c *collector) take(ctx context.Context, keep func()) error {
	c.calls.Add(1)
	c.hold.RLock()
	defer c.hold.RUnlock()
	if err := c.refuse.Load(); err != nil {
		return *err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		c.headers = md
	}
	keep()
	return nil
}

func (c *collector) Export(ctx context.Context, r *coltraces.ExportTraceServiceRequest) (*coltraces.ExportTraceServiceResponse, error) {
	return &coltraces.ExportTraceServiceResponse{}, c.take(ctx, func() {
		for _, rs := range r.ResourceSpans {
			c.whose = map[string]string{}
			for _, a := range rs.Resource.Attributes {
				c.whose[a.Key] = a.Value.GetStringValue()
			}
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	})
}

func (s metricsServer) Export(ctx context.Context, r *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	return &colmetrics.ExportMetricsServiceResponse{}, s.c.take(ctx, func() {
		for _, rm := range r.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				s.c.metrics = append(s.c.metrics, sm.Metrics...)
			}
		}
	})
}

func (s logsServer) Export(ctx context.Context, r *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	return &collogs.ExportLogsServiceResponse{}, s.c.take(ctx, func() {
		for _, rl := range r.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				s.c.records = append(s.c.records, sl.LogRecords...)
			}
		}
	})
}

// got counts what came.
func (c *collector) got() (spans, metrics, records int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans), len(c.metrics), len(c.records)
}

// collectTLS starts one that speaks TLS, and returns its host and port and the file of
// the authority that signed its certificate.
func collectTLS(t *testing.T, protocol string) (addr, ca string, c *collector) {
	t.Helper()
	c = &collector{}
	web := httptest.NewUnstartedServer(c.handler(func(string) {}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of those who do not believe it
	web.StartTLS()
	t.Cleanup(web.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600))
	if protocol == "http/protobuf" {
		return web.Listener.Addr().String(), ca, c
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates})))
	coltraces.RegisterTraceServiceServer(s, c)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return l.Addr().String(), ca, c
}

// collectHTTP starts one that speaks HTTP, and returns the paths that were asked for.
func collectHTTP(t *testing.T) (url string, c *collector, paths func() []string) {
	t.Helper()
	c = &collector{}
	var asked []string
	s := httptest.NewServer(c.handler(func(path string) {
		c.mu.Lock()
		asked = append(asked, path)
		c.mu.Unlock()
	}))
	t.Cleanup(s.Close)
	return s.URL, c, func() []string {
		c.mu.Lock()
		defer c.mu.Unlock()
		return append([]string(nil), asked...)
	}
}

func (c *collector) handler(asked func(path string)) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked(r.URL.Path)
		ctx := metadata.NewIncomingContext(r.Context(), metadata.Pairs("api-key", r.Header.Get("Api-Key"), "encoding", r.Header.Get("Content-Encoding")))
		var traces coltraces.ExportTraceServiceRequest
		if r.URL.Path == "/v1/traces" && proto.Unmarshal(body, &traces) == nil {
			_, _ = c.Export(ctx, &traces)
			return
		}
		_ = c.take(ctx, func() {})
	})
}

// blackHole accepts connections and never answers. hung counts them.
func blackHole(t testing.TB) (addr string, hung *atomic.Int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	hung = &atomic.Int64{}
	var conns sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended; conns.Wait() })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hung.Add(1)
			conns.Go(func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() })
		}
	}()
	return l.Addr().String(), hung
}

// dead is an address at which nobody listens.
func dead(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// lines is a handler that keeps records.
type lines struct {
	mu   sync.Mutex
	kept []slog.Record
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, r)
	return nil
}

func (l *lines) all() []slog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]slog.Record(nil), l.kept...)
}

// attr returns a record's attribute, "" for none.
func attr(r slog.Record, key string) (value string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			value = a.Value.String()
		}
		return true
	})
	return value
}
