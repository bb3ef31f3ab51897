package telemetry

import (
	"context"
	"io"
	"net/http"
	"sync"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// An explicit option wins over the exporter's own variable, so everything that a
// variable may say is given explicitly: what was resolved counts, and nothing else.

// credentials are explicit even in the clear: with a variable for a certificate set
// the exporter would take to TLS, whatever the endpoint says.
func (r receiver) credentials() credentials.TransportCredentials {
	if r.secure {
		return credentials.NewTLS(r.tls)
	}
	return insecure.NewCredentials()
}

// oneAtATime is a writer that several exporters share.
type oneAtATime struct {
	mu sync.Mutex
	to io.Writer
}

func (w *oneAtATime) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

// client is an exporter's own: with the one that they share, connections would be left
// behind when it is shut down. Headers go to whom they are meant for, and not where a
// redirection leads.
func (r receiver) client() *http.Client {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if t, ok := http.DefaultTransport.(*http.Transport); ok { // a program may have put another one there
		transport = t.Clone()
	}
	transport.TLSClientConfig = r.tls
	return &http.Client{
		Transport: transport, Timeout: r.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// made is an exporter, and the client that it leaves behind.
type made[E any] struct {
	exporter E
	client   *http.Client // nil for none
}

func (m made[E]) leave() {
	if m.client != nil {
		m.client.CloseIdleConnections()
	}
}

func (x exporter) spans(ctx context.Context, console io.Writer) (m made[sdktrace.SpanExporter], err error) {
	r := x.otlp
	switch {
	case x.kind == exporterConsole:
		m.exporter, err = stdouttrace.New(stdouttrace.WithWriter(console))
		return m, err
	case r.protocol == protocolHTTP:
		m.client = r.client()
		options := []otlptracehttp.Option{
			otlptracehttp.WithEndpointURL(r.url), otlptracehttp.WithHeaders(r.headers), otlptracehttp.WithTimeout(r.timeout),
			otlptracehttp.WithCompression(otlptracehttp.NoCompression), otlptracehttp.WithTLSClientConfig(r.tls), otlptracehttp.WithHTTPClient(m.client),
		}
		if r.gzip {
			options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}
		m.exporter, err = otlptracehttp.New(ctx, options...)
		return m, err
	}
	options := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpointURL(r.url), otlptracegrpc.WithHeaders(r.headers), otlptracegrpc.WithTimeout(r.timeout),
		otlptracegrpc.WithTLSCredentials(r.credentials()),
	}
	if r.gzip {
		options = append(options, otlptracegrpc.WithCompressor(compressionGzip))
	}
	m.exporter, err = otlptracegrpc.New(ctx, options...)
	return m, err
}

func (x exporter) metrics(ctx context.Context, console io.Writer, exponential bool) (m made[sdkmetric.Exporter], err error) {
	r := x.otlp
	form := sdkmetric.DefaultAggregationSelector
	if exponential {
		form = exponentially
	}
	switch {
	case x.kind == exporterConsole:
		m.exporter, err = stdoutmetric.New(stdoutmetric.WithWriter(console), stdoutmetric.WithAggregationSelector(form))
		return m, err
	case r.protocol == protocolHTTP:
		m.client = r.client()
		options := []otlpmetrichttp.Option{
			otlpmetrichttp.WithEndpointURL(r.url), otlpmetrichttp.WithHeaders(r.headers), otlpmetrichttp.WithTimeout(r.timeout),
			otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression), otlpmetrichttp.WithTLSClientConfig(r.tls), otlpmetrichttp.WithHTTPClient(m.client),
			otlpmetrichttp.WithAggregationSelector(form),
		}
		if r.gzip {
			options = append(options, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
		}
		m.exporter, err = otlpmetrichttp.New(ctx, options...)
		return m, err
	}
	options := []otlpmetricgrpc.Option{
		otlpmetricgrpc.WithEndpointURL(r.url), otlpmetricgrpc.WithHeaders(r.headers), otlpmetricgrpc.WithTimeout(r.timeout),
		otlpmetricgrpc.WithTLSCredentials(r.credentials()), otlpmetricgrpc.WithAggregationSelector(form),
	}
	if r.gzip {
		options = append(options, otlpmetricgrpc.WithCompressor(compressionGzip))
	}
	m.exporter, err = otlpmetricgrpc.New(ctx, options...)
	return m, err
}

// exponentially is how histograms are aggregated into exponential ones.
func exponentially(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	if kind == sdkmetric.InstrumentKindHistogram {
		return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
	}
	return sdkmetric.DefaultAggregationSelector(kind)
}

func (x exporter) records(ctx context.Context) (m made[sdklog.Exporter], err error) {
	r := x.otlp
	if r.protocol == protocolHTTP {
		m.client = r.client()
		options := []otlploghttp.Option{
			otlploghttp.WithEndpointURL(r.url), otlploghttp.WithHeaders(r.headers), otlploghttp.WithTimeout(r.timeout),
			otlploghttp.WithCompression(otlploghttp.NoCompression), otlploghttp.WithTLSClientConfig(r.tls), otlploghttp.WithHTTPClient(m.client),
		}
		if r.gzip {
			options = append(options, otlploghttp.WithCompression(otlploghttp.GzipCompression))
		}
		m.exporter, err = otlploghttp.New(ctx, options...)
		return m, err
	}
	options := []otlploggrpc.Option{
		otlploggrpc.WithEndpointURL(r.url), otlploggrpc.WithHeaders(r.headers), otlploggrpc.WithTimeout(r.timeout),
		otlploggrpc.WithTLSCredentials(r.credentials()),
	}
	if r.gzip {
		options = append(options, otlploggrpc.WithCompressor(compressionGzip))
	}
	m.exporter, err = otlploggrpc.New(ctx, options...)
	return m, err
}
