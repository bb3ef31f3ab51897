package telemetry_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// nowhere is a span processor that drops spans.
type nowhere struct{ spans int }

func (*nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (n *nowhere) OnEnd(sdktrace.ReadOnlySpan)                   { n.spans++ }
func (*nowhere) Shutdown(context.Context) error                  { return nil }
func (*nowhere) ForceFlush(context.Context) error                { return nil }

// usual is a transaction of seven spans: itself, and fetch, process and produce with an
// attempt each.
func usual() (ergon.Raw, engine.TraceRecord) {
	tx := ergon.New([]byte(`{"n":1}`), ergon.WithID("tx-1"), ergon.WithSource("nats:ORDERS"), ergon.WithTrace(ergon.Trace{Parent: came}))
	at := func(ms int) time.Time { return time.UnixMilli(1_700_000_000_000 + int64(ms)) }
	p := policy.DefaultConsumer()
	return tx, engine.TraceRecord{
		Policy: &p, Task: "score", Connector: "jetstream", Transaction: tx, Began: at(3), Ended: at(6), Outcome: engine.Succeeded, Outputs: 1,
		Fetch: engine.FetchRecord{Began: at(1), Ended: at(2), Count: 1},
		Attempts: []engine.AttemptRecord{
			{Phase: ergon.PhaseProcess, Attempt: 1, MaxAttempts: 8, Began: at(3), Ended: at(4)},
			{Phase: ergon.PhaseProduce, Attempt: 1, MaxAttempts: 8, Began: at(5), Ended: at(6)},
		},
	}
}

// traceOne is what an engine asks of a tracer for one transaction.
func traceOne(tr *telemetry.Tracer, tx ergon.Raw, r engine.TraceRecord) {
	b := tr.Begin(tx, ergon.DeliveryInfo{})
	_ = b.Trace()
	r.Attempts[0].Span, r.Attempts[1].Span = b.NewSpan(), b.NewSpan()
	if b.Sampled() {
		b.End(r)
	}
}

func BenchmarkTraceSampled(b *testing.B) {
	sampler, err := telemetry.ParseSampler("always_on", "")
	require.NoError(b, err)
	to := &nowhere{}
	tr := telemetry.NewTracer(telemetry.TracerConfig{Processor: to, Sampler: sampler, View: telemetry.View{System: "nats", Destination: "ORDERS", Group: "score"}})
	tx, r := usual()
	b.ReportAllocs()
	for b.Loop() {
		traceOne(tr, tx, r)
	}
	require.Equal(b, 7*b.N, to.spans)
}

func BenchmarkTraceSampledOut(b *testing.B) {
	sampler, err := telemetry.ParseSampler("always_off", "")
	require.NoError(b, err)
	tr := telemetry.NewTracer(telemetry.TracerConfig{Processor: &nowhere{}, Sampler: sampler})
	tx, r := usual()
	b.ReportAllocs()
	for b.Loop() {
		traceOne(tr, tx, r)
	}
}

// BenchmarkExportedSpan is one span from its making to the receiver's answer, which is
// in this process and so costs as well; ns/op is per span.
func BenchmarkExportedSpan(b *testing.B) {
	c := collect(b)
	tel := start(b, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Traces: telemetry.TracesConfig{Sampler: "always_on"}},
		map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_MAX_QUEUE_SIZE": "1000000"})
	tx, r := usual()
	b.ReportAllocs()
	n := 0
	for ; n < b.N; n += 7 {
		traceOne(tel.Tracer(), tx, r)
	}
	require.NoError(b, tel.Shutdown(context.Background()))
	b.StopTimer()
	spans, _, _ := c.got()
	require.Equal(b, n, spans)
}

func BenchmarkHandler(b *testing.B) {
	ctx := attempting(b.Context())
	for _, c := range []struct {
		name  string
		level slog.Level
		ctx   context.Context
		group string
	}{
		{"off", slog.LevelWarn, ctx, ""},
		{"elsewhere", slog.LevelInfo, b.Context(), ""},
		{"on", slog.LevelInfo, ctx, ""},
		{"group", slog.LevelInfo, ctx, "g"},
	} {
		inner := slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: c.level})
		log := slog.New(telemetry.NewHandler(inner)).WithGroup(c.group)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(c.ctx, slog.LevelInfo, "m", slog.Int("a", 1), slog.String("b", "x"))
			}
		})
	}
	b.Run("without", func(b *testing.B) {
		log := slog.New(slog.NewJSONHandler(io.Discard, nil))
		b.ReportAllocs()
		for b.Loop() {
			log.LogAttrs(ctx, slog.LevelInfo, "m", slog.Int("a", 1), slog.String("b", "x"))
		}
	})
}

func BenchmarkLimit(b *testing.B) {
	log := slog.New(telemetry.Limit(slog.NewJSONHandler(io.Discard, nil), telemetry.LimitOptions{Window: time.Hour}))
	err := errors.New("no route to 10.0.0.1")
	b.Run("info", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.LogAttrs(b.Context(), slog.LevelInfo, "m", slog.Int("a", 1))
		}
	})
	b.Run("suppressed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			log.LogAttrs(b.Context(), slog.LevelWarn, "m", slog.Any("error", err))
		}
	})
}
