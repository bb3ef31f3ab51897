package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/services"
)

// Options is what New makes a Telemetry of.
type Options struct {
	Config Config
	// Env looks up a variable. Default os.LookupEnv. What the SDK reads by itself (see
	// Config) it reads from the process's environment all the same.
	Env func(string) (string, bool)
	// Version is the service's (service.version). Default: not told.
	Version string
	// Logger takes what there is to complain of: at most a line a minute. It should not
	// be one whose lines are exported. Default slog.Default().
	Logger *slog.Logger
	// Engines are asked for what they count whenever metrics are collected; see
	// MetricsOptions.Source. Default: there are none.
	Engines func() []engine.Metrics
	// Services are asked for what they count likewise; see MetricsOptions.Services.
	// Default: there are none.
	Services func() []services.Metrics
	// Prometheus makes MetricsHandler serve all metrics, whatever the exporter is, also
	// if OTEL_SDK_DISABLED is set.
	Prometheus bool
	// Producers make metrics for the exporter besides those of the MeterProvider.
	Producers []sdkmetric.Producer
	// Readers read the MeterProvider's metrics besides the exporter, whatever the
	// exporter is, also if OTEL_SDK_DISABLED is set. They are shut down with it.
	Readers []sdkmetric.Reader
	// Console is where exporters write that are called console. Default os.Stderr.
	Console io.Writer
}

// reserve is how long Shutdown takes at most, whatever its context says: it comes after
// all work is done, and whoever waits for the process to end waits for it.
const reserve = 3 * time.Second

// Telemetry are the providers that a configuration asks for. It sets nothing global.
//
// Nothing that tells it something waits for a receiver: what is told waits in a queue of
// a bounded length, 2048 spans (OTEL_BSP_MAX_QUEUE_SIZE) and as many log records
// (OTEL_BLRP_MAX_QUEUE_SIZE), those included that are on their way; what does not fit is
// lost, and counted. With everything off there is no provider and no goroutine.
type Telemetry struct {
	tracer *Tracer
	spans  trace.TracerProvider
	meters metric.MeterProvider
	scrape http.Handler           // nil if it is off
	logs   *sdklog.LoggerProvider // nil if they are off

	tell  *complaints
	parts []part
	once  sync.Once
	err   error
}

// part is what is shut down of a signal.
type part struct {
	gate     *gate // nil for readers alone
	shutdown func(context.Context) error
}

// New makes what the configuration and the environment ask for, and connects to nobody
// yet: a receiver that is not there is no error. The error names every fault.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Console == nil {
		o.Console = os.Stderr
	}
	o.Console = &oneAtATime{to: o.Console}
	s, err := environment(o.Env).resolve(o.Config)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{spans: nooptrace.NewTracerProvider(), meters: noop.NewMeterProvider(), tell: &complaints{log: o.Logger}}
	if s.traces.kind == exporterNone && s.metrics.kind == exporterNone && s.logs.kind == exporterNone && len(o.Readers) == 0 && !o.Prometheus {
		return t, nil
	}
	b := builder{Telemetry: t, Options: o, settings: s, whose: whose(ctx, o, s.attributes)}
	if err := errors.Join(b.traces(ctx), b.metrics(ctx), b.logs(ctx)); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// builder makes a Telemetry's parts.
type builder struct {
	*Telemetry
	Options
	settings
	whose *resource.Resource
}

// gate makes a signal's; before the first export, or complaints would race with it.
func (b *builder) gate(s signal, to exporter, most int) *gate {
	g := newGate(s, most, to.otlp.timeout, b.tell)
	b.tell.mu.Lock()
	b.tell.gates = append(b.tell.gates, g)
	b.tell.mu.Unlock()
	return g
}

func (b *builder) traces(ctx context.Context) error {
	if b.settings.traces.kind == exporterNone {
		return nil
	}
	made, err := b.settings.traces.spans(ctx, b.Console)
	if err != nil {
		return fmt.Errorf("telemetry.traces: %w", err)
	}
	g := b.gate(traces, b.settings.traces, b.spanQueue)
	p := spanQueue{sdktrace.NewBatchSpanProcessor(spanExporter{made, g}, sdktrace.WithMaxQueueSize(b.spanQueue)), g}
	b.spans = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p), sdktrace.WithResource(b.whose), sdktrace.WithSampler(b.sampler.others()))
	b.tracer = NewTracer(TracerConfig{Processor: p, Resource: b.whose, Sampler: b.sampler, Provider: b.spans})
	b.parts = append(b.parts, part{g, p.Shutdown})
	return nil
}

func (b *builder) logs(ctx context.Context) error {
	if b.settings.logs.kind == exporterNone {
		return nil
	}
	made, err := b.settings.logs.records(ctx)
	if err != nil {
		return fmt.Errorf("telemetry.logs: %w", err)
	}
	g := b.gate(logs, b.settings.logs, b.recordQueue)
	p := sdklog.NewBatchProcessor(recordExporter{made, g}, sdklog.WithMaxQueueSize(b.recordQueue))
	b.Telemetry.logs = sdklog.NewLoggerProvider(sdklog.WithResource(b.whose), sdklog.WithProcessor(recordQueue{p, g}))
	b.parts = append(b.parts, part{g, b.Telemetry.logs.Shutdown})
	return nil
}

// Tracer returns the tracer, nil when traces are off. As an engine.Tracer a nil one
// traces nothing.
func (t *Telemetry) Tracer() *Tracer { return t.tracer }

// TracerProvider returns the provider for whoever makes spans of their own, never nil.
// What is begun in a transaction's context stands below the attempt, and is sampled as
// the transaction is; the rest by the configuration's sampler.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.spans }

// MetricsHandler serves all metrics to Prometheus; nil without Options.Prometheus.
func (t *Telemetry) MetricsHandler() http.Handler { return t.scrape }

// MeterProvider returns the provider of meters, never nil.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meters }

// Failures returns how many exports failed of each signal: traces, metrics, logs. One
// that is off has none. What a failed export held is lost.
func (t *Telemetry) Failures() map[string]int64 {
	out := map[string]int64{string(traces): 0, string(metrics): 0, string(logs): 0}
	for _, g := range t.tell.gates {
		out[string(g.signal)] += g.failures.Load()
	}
	return out
}

// Lost returns how many spans, collections of metrics and log records were not exported:
// those of failed exports, and those that found too many waiting.
func (t *Telemetry) Lost() map[string]int64 {
	out := map[string]int64{string(traces): 0, string(metrics): 0, string(logs): 0}
	for _, g := range t.tell.gates {
		out[string(g.signal)] += g.lostEver.Load()
	}
	return out
}

// Shutdown exports what waits and ends everything, once; a second call returns what the
// first did. It ends with ctx, and after 3 s at the latest: whatever is not exported by
// then is lost, as the error says.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.once.Do(func() { t.err = t.shutdown(ctx) })
	return t.err
}

func (t *Telemetry) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reserve)
	defer cancel()
	type result struct {
		part int
		err  error
	}
	results := make(chan result, len(t.parts))
	for i, p := range t.parts {
		go func() {
			// Not ctx: a part that sees it end leaves its connection behind. What it waits
			// for ends all the same, when its gate is cut.
			patient, done := context.WithTimeout(context.WithoutCancel(ctx), 2*reserve)
			defer done()
			results <- result{i, p.shutdown(patient)}
		}()
	}
	errs, open := make([]error, len(t.parts)), len(t.parts)
	for i := range errs {
		errs[i] = errNotEnded
	}
	for open > 0 && ctx.Err() == nil {
		select {
		case r := <-results:
			errs[r.part], open = r.err, open-1
		case <-ctx.Done():
		}
	}
	var all []error
	for i, p := range t.parts {
		err, name := errs[i], string(metrics)
		if err == errNotEnded {
			err = ctx.Err()
		}
		if p.gate != nil {
			name = string(p.gate.signal)
			n := p.gate.pending.Load() + p.gate.lost.Load() // before what is cut is told of elsewhere
			if p.gate.cut(); n > 0 {
				err = errors.Join(err, fmt.Errorf("%d %s were lost", n, unit[p.gate.signal]))
			}
		}
		if err != nil {
			all = append(all, fmt.Errorf("telemetry: %s: %w", name, err))
		}
	}
	return errors.Join(all...)
}

// errNotEnded is a part's that has not been shut down.
var errNotEnded = errors.New("not ended")
