package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// text returns a handler without times, and what it wrote.
func text(level slog.Level) (slog.Handler, *output) {
	var out output
	return slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}), &out
}

// output is written to and read by many.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (o *output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Reset()
}

// attempting is the context of an attempt, with a span.
func attempting(ctx context.Context) context.Context {
	ctx = ergon.WithExecution(ctx, &ergon.Execution{TransactionID: "tx-1", Source: "src", Task: "t", Phase: ergon.PhaseProcess, Attempt: 2})
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
}

const (
	inTransaction = " transaction=tx-1 source=src task=t phase=process attempt=2"
	inSpan        = " trace_id=01000000000000000000000000000000 span_id=0200000000000000"
)

// R064: lines say where they come from, at the top, however the logger was derived.
func TestHandlerAddsWhereALineComesFrom(t *testing.T) {
	ctx := attempting(t.Context())
	for _, c := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"plain", func(l *slog.Logger) { l.InfoContext(ctx, "m", "a", 1) }, "msg=m a=1" + inTransaction + inSpan},
		{"without a context", func(l *slog.Logger) { l.Info("m", "a", 1) }, "msg=m a=1"},
		{"elsewhere", func(l *slog.Logger) { l.InfoContext(t.Context(), "m") }, "msg=m"},
		{"attributes", func(l *slog.Logger) { l.With("w", 1).InfoContext(ctx, "m", "a", 1) }, "msg=m w=1 a=1" + inTransaction + inSpan},
		{"group", func(l *slog.Logger) { l.WithGroup("g").InfoContext(ctx, "m", "a", 1) }, "msg=m g.a=1" + inTransaction + inSpan},
		{"group elsewhere", func(l *slog.Logger) { l.With("w", 1).WithGroup("g").Info("m", "a", 1) }, "msg=m w=1 g.a=1"},
		{"groups", func(l *slog.Logger) {
			l.With("w", 1).WithGroup("g").With("x", 2).WithGroup("h").With("y", 3).InfoContext(ctx, "m", "a", 1)
		}, "msg=m w=1 g.x=2 g.h.y=3 g.h.a=1" + inTransaction + inSpan},
		{"empty groups", func(l *slog.Logger) { l.WithGroup("g").WithGroup("h").InfoContext(ctx, "m") }, "msg=m" + inTransaction + inSpan},
		{"span alone", func(l *slog.Logger) {
			l.InfoContext(trace.ContextWithSpanContext(t.Context(), trace.SpanContextFromContext(ctx)), "m")
		}, "msg=m" + inSpan},
	} {
		inner, out := text(slog.LevelInfo)
		h := telemetry.NewHandler(telemetry.NewHandler(inner)) // twice is once
		c.log(slog.New(h))
		require.Equal(t, "level=INFO "+c.want+"\n", out.String(), c.name)
	}
}

// Loggers that were derived from one do not see each other's attributes.
func TestDerivedLoggersAreApart(t *testing.T) {
	inner, out := text(slog.LevelInfo)
	g := slog.New(telemetry.NewHandler(inner)).WithGroup("g").With("x", 1)
	a, b := g.With("a", 1), g.With("b", 1)
	a.InfoContext(attempting(t.Context()), "m")
	b.InfoContext(attempting(t.Context()), "m")
	g.WithGroup("h").InfoContext(attempting(t.Context()), "m", "c", 1)
	require.Equal(t, strings.Join([]string{"g.x=1 g.a=1", "g.x=1 g.b=1", "g.x=1 g.h.c=1", ""}, inTransaction+inSpan+"\n"),
		strings.ReplaceAll(out.String(), "level=INFO msg=m ", ""))
}

// Log records are sent with their trace in the record itself, and with no more lines
// than are written.
func TestLogsAreSent(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Logs: telemetry.LogsConfig{Exporter: "otlp"}}, nil)
	inner, out := text(slog.LevelInfo)
	log := slog.New(tel.Handler(inner))
	require.False(t, log.Enabled(t.Context(), slog.LevelDebug))
	log.DebugContext(attempting(t.Context()), "no")
	log.With("w", 1).WithGroup("g").InfoContext(attempting(t.Context()), "m", "a", 1)
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Equal(t, "level=INFO msg=m w=1 g.a=1"+inTransaction+inSpan+"\n", out.String())
	require.Len(t, c.records, 1)
	r := c.records[0]
	require.Equal(t, append([]byte{1}, make([]byte, 15)...), r.TraceId)
	require.Equal(t, append([]byte{2}, make([]byte, 7)...), r.SpanId)
	var keys []string
	for _, a := range r.Attributes {
		keys = append(keys, a.Key)
	}
	require.ElementsMatch(t, []string{"w", "g", "transaction", "source", "task", "phase", "attempt"}, keys)
}

// engineLines runs one transaction that fails for good after a retry, and returns the
// lines.
func engineLines(t *testing.T, tracer engine.Tracer, options []engine.LogOption, process func(context.Context, ergon.Transaction[string]) (string, error)) (lines []string) {
	t.Helper()
	inner, out := text(slog.LevelDebug)
	log := slog.New(telemetry.NewHandler(inner))
	queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
	queue.Push(ergon.New([]byte(`"SECRET"`), ergon.WithID("tx-1"), ergon.WithSource("test"), ergon.WithTrace(ergon.Trace{Parent: came}),
		ergon.WithMetadata("X-Api-Key", "SECRET"), ergon.WithMetadata("tenant", "SECRET-not")))
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	p.Process.Retry.MaxAttempts, p.Process.Retry.Backoff = 2, policy.Duration(time.Millisecond)
	e, err := engine.New(engine.Config{
		Task: engine.Consume[string, string]("score", task{process: process}), Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink},
		Policy: p, Tracer: tracer, Observe: engine.LogEvents(log, options...),
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "transaction=") {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 6, "started, 2 attempts, a retry, the hook's attempt, failed for good")
	return lines
}

func busy(context.Context, ergon.Transaction[string]) (string, error) { return "", errors.New("busy") }

// R101: the engine's lines are in the trace as well, each attribute once.
func TestEngineLinesHaveTheirTrace(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Traces: telemetry.TracesConfig{Sampler: "always_on"}}, nil)
	lines := engineLines(t, tel.Tracer(), nil, busy)
	require.NoError(t, tel.Shutdown(t.Context()))
	spans := map[string]string{}
	for _, s := range c.spans {
		spans[s.Name] = trace.SpanID(s.SpanId).String()
	}
	for i, name := range []string{"transaction", "process.attempt.1", "process.attempt.1", "process.attempt.2", "handle_exception.attempt.1", "transaction"} {
		require.Contains(t, lines[i], "trace_id="+came[3:35]+" span_id="+spans[name], name)
	}
	for _, key := range []string{" trace_id=", " span_id=", " transaction=", " source=", " task=", " phase=", " attempt="} {
		for _, line := range lines {
			require.LessOrEqual(t, strings.Count(line, key), 1, line)
		}
	}
}

// As records they have it too.
func TestEngineLinesAreSentWithTheirTrace(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}, Logs: telemetry.LogsConfig{Exporter: "otlp"}}, nil)
	tx := ergon.New([]byte("SECRET"), ergon.WithID("tx-1"), ergon.WithSource("test"), ergon.WithTrace(ergon.Trace{Parent: came}))
	queue := memory.NewQueue(memory.QueueOptions{})
	queue.Push(tx)
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	e, err := engine.New(engine.Config{
		Task:   engine.Consume[[]byte, ergon.None]("score", silent{}),
		Source: queue.Source(), Policy: p, Tracer: tel.Tracer(), Observe: engine.LogEvents(slog.New(tel.Handler(&lines{}))),
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	require.NoError(t, tel.Shutdown(t.Context()))
	found := 0
	for _, r := range c.records {
		if strings.HasPrefix(r.Body.GetStringValue(), "transaction ") {
			found++
			require.Equal(t, came[3:35], trace.TraceID(r.TraceId).String())
		}
		for _, a := range r.Attributes {
			require.NotEqual(t, "trace_id", a.Key, "the record has it itself")
		}
	}
	require.Equal(t, 2, found, "started and succeeded")
}

// silent is a task that does nothing.
type silent struct{}

func (silent) Process(context.Context, ergon.Transaction[[]byte]) (ergon.None, error) {
	return ergon.None{}, nil
}

// Without a tracer the trace is known all the same; there are no spans.
func TestEngineLinesWithoutATracer(t *testing.T) {
	for _, line := range engineLines(t, (*telemetry.Tracer)(nil), nil, busy) {
		require.Equal(t, 1, strings.Count(line, "trace_id="+came[3:35]), line)
		require.NotContains(t, line, "span_id")
	}
}

// With links a transaction's lines are in its own trace.
func TestEngineLinesOfALinkedTracer(t *testing.T) {
	c := collect(t)
	tel := start(t, telemetry.Config{OTLP: telemetry.OTLPConfig{Endpoint: "http://" + c.addr}}, nil)
	own := identity.TraceID(identity.TraceParent("test", "tx-1"))
	for _, line := range engineLines(t, tel.Tracer().With(telemetry.View{Link: true}), nil, busy) {
		require.Contains(t, line, "trace_id="+own)
	}
	require.NoError(t, tel.Shutdown(t.Context()))
	for _, s := range c.spans {
		require.Equal(t, own, trace.TraceID(s.TraceId).String())
	}
	require.False(t, strings.HasPrefix(own, came[3:35]))
}

// What a transaction holds is shown by no line and no span, whatever becomes of it,
// unless it is asked for; and what is sensitive is not shown then either.
func TestContentsAreShownIfAskedFor(t *testing.T) {
	panics := func(context.Context, ergon.Transaction[string]) (string, error) { panic("at the task") }
	for _, process := range []func(context.Context, ergon.Transaction[string]) (string, error){busy, panics} {
		var console bytes.Buffer
		tel := start(t, telemetry.Config{}, map[string]string{"OTEL_TRACES_EXPORTER": "console"}, func(o *telemetry.Options) { o.Console = &console })
		lines := engineLines(t, tel.Tracer(), telemetry.Config{}.EventLog(), process)
		require.NoError(t, tel.Shutdown(t.Context()))
		require.Contains(t, console.String(), "handle_exception.attempt.1")
		require.NotContains(t, console.String()+strings.Join(lines, ""), "SECRET")
	}
	lines := engineLines(t, nil, telemetry.Config{Logs: telemetry.LogsConfig{Payloads: true}}.EventLog(), busy)
	for i, line := range lines {
		if i == 0 || i == len(lines)-1 {
			require.Contains(t, line, `payload="\"SECRET\"" metadata.tenant=SECRET-not metadata.x-api-key=[redacted]`)
		} else {
			require.NotContains(t, line, "SECRET")
		}
	}
}

func TestSensitive(t *testing.T) {
	shows := func(c telemetry.Config, name string) bool {
		c.Logs.Payloads = true
		inner, out := text(slog.LevelDebug)
		engine.LogEvents(slog.New(inner), c.EventLog()...)(engine.Started{
			Transaction: ergon.New[[]byte](nil, ergon.WithMetadata(name, "VALUE")),
		})
		return strings.Contains(out.String(), "VALUE")
	}
	for _, name := range []string{"Authorization", "cookie", "Set-Cookie", "x-session-token-id", "a/secret/b", "db.PASSWORD", "x-api-key"} {
		require.False(t, shows(telemetry.Config{}, name), name)
		require.True(t, shows(telemetry.Config{Sensitive: []string{}}, name), "an empty list hides nothing")
	}
	require.True(t, shows(telemetry.Config{}, "tenant"))
	require.False(t, shows(telemetry.Config{Sensitive: []string{"TEN?NT"}}, "Tenant"))
	require.False(t, shows(telemetry.Config{Sensitive: []string{"[a"}}, "any"), "what can't be read hides all")
}
