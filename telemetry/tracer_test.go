package telemetry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/identity"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const came = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// task is a function as a task with both hooks.
type task struct {
	process func(context.Context, ergon.Transaction[string]) (string, error)
	success func(context.Context) error
}

func (t task) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	return t.process(ctx, tx)
}

func (t task) HandleSuccess(ctx context.Context, _ ergon.Transaction[string], _ string) error {
	if t.success == nil {
		return nil
	}
	return t.success(ctx)
}

func (t task) HandleException(context.Context, ergon.Transaction[string], *ergon.Error) error {
	return nil
}

// scene is one transaction through an engine with a tracer.
type scene struct {
	sampler string
	link    bool
	parent  string
	task    task

	out []ergon.Raw
}

// spans runs it and returns the spans by name.
func (s *scene) spans(t *testing.T) map[string]tracetest.SpanStub {
	t.Helper()
	sampler, err := telemetry.ParseSampler(s.sampler, "")
	require.NoError(t, err)
	exporter := tracetest.NewInMemoryExporter()
	tracer := telemetry.NewTracer(telemetry.TracerConfig{Processor: sdktrace.NewSimpleSpanProcessor(exporter), Sampler: sampler, View: telemetry.View{Link: s.link}})
	queue, sink := memory.NewQueue(memory.QueueOptions{}), memory.NewSink(memory.SinkOptions{})
	queue.Push(ergon.New([]byte(`"x"`), ergon.WithID("tx-1"), ergon.WithSource("test"), ergon.WithTrace(ergon.Trace{Parent: s.parent, State: "vendor=1"})))
	p := policy.DefaultConsumer()
	p.Loop.Streaming = false
	p.Process.Retry.MaxAttempts, p.Process.Retry.Backoff = 3, policy.Duration(time.Millisecond)
	e, err := engine.New(engine.Config{
		Task: engine.Consume[string, string]("score", s.task), Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink},
		Policy: p, Tracer: tracer, Connector: "memory",
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	s.out = sink.All()
	byName := map[string]tracetest.SpanStub{}
	for _, span := range exporter.GetSpans() {
		require.NotContains(t, byName, span.Name, "a span came twice")
		byName[span.Name] = span
	}
	return byName
}

func echo(_ context.Context, tx ergon.Transaction[string]) (string, error) { return tx.Payload(), nil }

// R031, R049, R101, R102: one transaction is one tree in the trace that it came with,
// and its outputs continue that.
func TestTreeOfATransaction(t *testing.T) {
	s := &scene{sampler: "always_on", parent: came, task: task{process: echo}}
	spans := s.spans(t)
	parents := map[string]string{
		"fetch": "transaction", "fetch.attempt.1": "fetch",
		"process": "transaction", "process.attempt.1": "process",
		"produce": "transaction", "produce.attempt.1": "produce",
		"success": "transaction", "handle_success.attempt.1": "success",
	}
	require.Len(t, spans, len(parents)+1)
	for child, parent := range parents {
		require.Equal(t, spans[parent].SpanContext.SpanID(), spans[child].Parent.SpanID(), "%s below %s", child, parent)
		require.False(t, spans[child].EndTime.Before(spans[child].StartTime), child)
	}
	root := spans["transaction"]
	require.Equal(t, came[3:35], root.SpanContext.TraceID().String())
	require.Equal(t, came[36:52], root.Parent.SpanID().String())
	require.True(t, root.Parent.IsRemote())
	require.Equal(t, trace.SpanKindConsumer, root.SpanKind)
	require.Equal(t, codes.Unset, root.Status.Code)
	require.Equal(t, "00-"+came[3:35]+"-"+root.SpanContext.SpanID().String()+"-01", s.out[0].Trace().Parent)
	require.Equal(t, "vendor=1", s.out[0].Trace().State)
}

// R020, R102: attempts are spans of one phase; the failed attempt and, if it was the
// last, the transaction tell.
func TestFailuresAreTold(t *testing.T) {
	n := 0
	s := &scene{sampler: "always_on", parent: came, task: task{process: func(context.Context, ergon.Transaction[string]) (string, error) {
		if n++; n < 3 {
			return "", errors.New("the service is busy")
		}
		return "", ergon.Business("no such thing")
	}}}
	spans := s.spans(t)
	for _, name := range []string{"process.attempt.1", "process.attempt.2", "process.attempt.3", "process", "transaction"} {
		require.Equal(t, codes.Error, spans[name].Status.Code, name)
	}
	require.Equal(t, "the service is busy", spans["process.attempt.1"].Status.Description)
	require.Len(t, spans["process"].Events, 2, "a retry follows twice")
	require.Contains(t, spans, "handle_exception.attempt.1")
	require.NotContains(t, spans, "produce")
	require.Contains(t, spans["transaction"].Status.Description, "no such thing")
}

// A transaction that is sampled out costs no span, and what comes of it says so.
func TestSampledOut(t *testing.T) {
	s := &scene{sampler: "always_off", parent: came, task: task{process: echo}}
	require.Empty(t, s.spans(t))
	require.Equal(t, "-00", s.out[0].Trace().Parent[52:])
	require.Equal(t, came[3:35], s.out[0].Trace().Parent[3:35])
}

// One that fails for good is told of at any sampling rate, from its beginning, and
// under the IDs that its outputs carry.
func TestFailedIsToldThoughSampledOut(t *testing.T) {
	s := &scene{sampler: "always_off", parent: came, task: task{process: echo, success: func(context.Context) error {
		return ergon.Business("not to be booked")
	}}}
	spans := s.spans(t)
	for _, name := range []string{
		"transaction", "fetch", "process", "process.attempt.1", "produce", "produce.attempt.1",
		"success", "handle_success.attempt.1", "exception", "handle_exception.attempt.1",
	} {
		require.Contains(t, spans, name)
	}
	require.Equal(t, spans["transaction"].SpanContext.SpanID().String(), s.out[0].Trace().Parent[36:52])
	require.Equal(t, codes.Error, spans["success"].Status.Code)
	require.Equal(t, codes.Unset, spans["process"].Status.Code)
}

// Without an incoming trace all deliveries of a transaction share one.
func TestTraceIsAFunctionOfTheIdentity(t *testing.T) {
	s := &scene{sampler: "always_on", task: task{process: echo}}
	root := s.spans(t)["transaction"]
	require.Equal(t, identity.TraceID(identity.TraceParent("test", "tx-1")), root.SpanContext.TraceID().String())
	require.False(t, root.Parent.IsValid())
}

// With links a transaction has a trace of its own.
func TestLink(t *testing.T) {
	s := &scene{sampler: "always_on", link: true, parent: came, task: task{process: echo}}
	root := s.spans(t)["transaction"]
	require.False(t, root.Parent.IsValid())
	require.Len(t, root.Links, 1)
	require.Equal(t, came[3:35], root.Links[0].SpanContext.TraceID().String())
	require.NotEqual(t, came[3:35], root.SpanContext.TraceID().String())
	require.Equal(t, root.SpanContext.TraceID().String(), s.out[0].Trace().Parent[3:35])
}

// R064, R110: user code finds the span of its attempt in its context, so that what it
// starts is below it; and it can't end it.
func TestUserCodeSeesItsAttempt(t *testing.T) {
	for sampler, sampled := range map[string]bool{"always_on": true, "always_off": false} {
		var seen trace.SpanContext
		s := &scene{sampler: sampler, parent: came, task: task{process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			seen = trace.SpanContextFromContext(ctx)
			trace.SpanFromContext(ctx).End()
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			require.Equal(t, seen, trace.SpanContextFromContext(derived))
			return tx.Payload(), nil
		}}}
		spans := s.spans(t)
		require.Equal(t, came[3:35], seen.TraceID().String())
		require.Equal(t, sampled, seen.IsSampled())
		if sampled {
			require.Equal(t, spans["process.attempt.1"].SpanContext.SpanID(), seen.SpanID())
		} else {
			require.Equal(t, s.out[0].Trace().Parent[36:52], seen.SpanID().String())
		}
	}
}

func TestParseSampler(t *testing.T) {
	for _, arg := range []string{"2", "-1", "NaN", "half"} {
		_, err := telemetry.ParseSampler("traceidratio", arg)
		require.ErrorContains(t, err, arg)
	}
	_, err := telemetry.ParseSampler("sometimes", "")
	require.ErrorContains(t, err, "sometimes")
}
