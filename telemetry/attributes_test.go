package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/telemetry"
)

// attributes of a span, as text.
func attributes(s tracetest.SpanStub) map[string]string {
	found := map[string]string{}
	for _, a := range s.Attributes {
		found[string(a.Key)] = a.Value.String()
	}
	return found
}

// R049, R101, R125: what a span says of its transaction, its attempt and the policy
// that ruled it.
func TestAttributes(t *testing.T) {
	s := &scene{sampler: "always_on", task: task{process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
		if ergon.ExecutionOf(ctx).Attempt == 1 {
			return "", errors.New("not yet")
		}
		return tx.Payload(), nil
	}}}
	spans := s.spans(t)
	root := attributes(spans["transaction"])
	for name, value := range map[string]string{
		"ergon.task": "score", "ergon.transaction.id": "tx-1", "ergon.transaction.source": "test", "ergon.transaction.attempt": "1",
		"ergon.outcome": "succeeded", "ergon.outputs": "1", "ergon.connector": "memory", "ergon.concurrency": "256", "ergon.window": "1024",
		"messaging.operation.type": "process", "messaging.message.id": "tx-1", "messaging.message.body.size": "3",
	} {
		require.Equal(t, value, root[name], name)
	}
	first := attributes(spans["process.attempt.1"])
	for name, value := range map[string]string{
		"ergon.task": "score", "ergon.transaction.id": "tx-1", "ergon.phase": "process", "ergon.attempt": "1", "ergon.max_attempts": "3",
		"ergon.retry.backoff": "0.001", "ergon.retry.backoff_multiplier": "3", "ergon.retry.backoff_cap": "60", "ergon.retry.timeout": "30",
		"ergon.category": "SYSTEM", "error.type": "SYSTEM",
	} {
		require.Equal(t, value, first[name], name)
	}
	require.Len(t, spans["process.attempt.1"].Events, 1)
	require.Equal(t, "exception", spans["process.attempt.1"].Events[0].Name)
	require.Equal(t, spans["process.attempt.1"].EndTime, spans["process.attempt.1"].Events[0].Time)
	second := attributes(spans["process.attempt.2"])
	require.NotContains(t, second, "error.type")
	require.Empty(t, spans["process.attempt.2"].Events)
	require.Equal(t, "produce", attributes(spans["produce.attempt.1"])["ergon.phase"])
}

// R111: no span has a payload or metadata in it, also where a task panics.
func TestSpansHideWhatTheyCarry(t *testing.T) {
	const secret = "4111-1111"
	exporter := tracetest.NewInMemoryExporter()
	sampler, err := telemetry.ParseSampler("always_on", "")
	require.NoError(t, err)
	queue := memory.NewQueue(memory.QueueOptions{})
	queue.Push(ergon.New([]byte(`"`+secret+`"`), ergon.WithID("tx-1"), ergon.WithMetadata("card", secret)))
	p := policy.DefaultConsumer()
	p.Loop.Streaming, p.Process.Retry.MaxAttempts = false, 1
	e, err := engine.New(engine.Config{
		Task:   engine.Consume("score", task{process: func(context.Context, ergon.Transaction[string]) (string, error) { panic("no") }}),
		Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{})}, Policy: p,
		Tracer: telemetry.NewTracer(telemetry.TracerConfig{Processor: sdktrace.NewSimpleSpanProcessor(exporter), Sampler: sampler}),
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	spans := exporter.GetSpans()
	require.NotEmpty(t, spans)
	require.NotContains(t, fmt.Sprintf("%+v", spans), secret)
	for _, span := range spans {
		if span.Name == "process.attempt.1" {
			require.Contains(t, fmt.Sprint(span.Events), "exception.stacktrace")
			return
		}
	}
	require.Fail(t, "no attempt")
}

type producer struct{}

func (producer) Produce(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	if ergon.ExecutionOf(ctx).Attempt == 1 {
		return "", errors.New("not yet")
	}
	return tx.Payload(), nil
}

func (producer) HandleSuccess(context.Context, ergon.Transaction[string], string) error { return nil }

// R124: a producer's tree, in one trace, without a phase that it does not have.
func TestTreeOfAProducer(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	sampler, err := telemetry.ParseSampler("always_on", "")
	require.NoError(t, err)
	queue := memory.NewQueue(memory.QueueOptions{})
	queue.Push(ergon.New([]byte(`"x"`), ergon.WithID("tx-1")))
	p := policy.DefaultProducer()
	p.Loop.Limit, p.Produce.Retry.Backoff = 1, policy.Duration(time.Millisecond)
	e, err := engine.New(engine.Config{
		Task: engine.Produce("make", producer{}), Source: queue.Source(), Producer: p,
		Sinks:  map[string]ergon.Sink{"out": memory.NewSink(memory.SinkOptions{})},
		Tracer: telemetry.NewTracer(telemetry.TracerConfig{Processor: sdktrace.NewSimpleSpanProcessor(exporter), Sampler: sampler}),
	})
	require.NoError(t, err)
	_, err = e.Run(t.Context())
	require.NoError(t, err)
	byID, tree := map[string]string{}, map[string]string{}
	spans := exporter.GetSpans()
	for _, s := range spans {
		byID[s.SpanContext.SpanID().String()] = s.Name
		require.Equal(t, spans[0].SpanContext.TraceID(), s.SpanContext.TraceID())
	}
	for _, s := range spans {
		tree[s.Name] = byID[s.Parent.SpanID().String()]
	}
	require.Equal(t, map[string]string{
		"transaction": "", "fetch": "transaction", "fetch.attempt.1": "fetch",
		"produce": "transaction", "produce.attempt.1": "produce", "produce.attempt.2": "produce",
		"success": "transaction", "handle_success.attempt.1": "success",
	}, tree)
}
