package telemetry_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/telemetry"
)

// doomed fails in the phase that an ID names, or in what it calls.
type doomed struct{ call *services.Operation }

func (d doomed) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	switch {
	case tx.ID() == "process" || tx.ID() == "exception":
		return "", ergon.Business("no")
	case tx.ID() == "once" && ergon.ExecutionOf(ctx).Attempt == 1:
		panic("not yet")
	case tx.ID() == "called":
		return services.Call(ctx, d.call, tx.Payload(), func(context.Context, string) (string, error) { return "", errors.New("no") })
	}
	return tx.Payload(), nil
}

func (doomed) HandleSuccess(_ context.Context, tx ergon.Transaction[string], _ string) error {
	if tx.ID() == "success" {
		return ergon.Business("no")
	}
	return nil
}

func (doomed) HandleException(_ context.Context, tx ergon.Transaction[string], _ *ergon.Error) error {
	if tx.ID() == "exception" {
		return ergon.Business("no")
	}
	return nil
}

// allSpans are those of transactions that failed in every phase.
func allSpans(t *testing.T) (all tracetest.SpanStubs) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		exporter := tracetest.NewInMemoryExporter()
		sampler, err := telemetry.ParseSampler("always_on", "")
		require.NoError(t, err)
		p := policy.DefaultService()
		p.Retry.MaxAttempts = 2
		seam, err := services.New("rates", p)
		require.NoError(t, err)
		busy := true
		queue := memory.NewQueue(memory.QueueOptions{OnFetch: func(int) error {
			if busy {
				busy = false
				return errors.New("the queue is busy")
			}
			return nil
		}})
		sink := memory.NewSink(memory.SinkOptions{OnSend: func(tx ergon.Raw) error {
			if tx.CausationID() == "produce" {
				return ergon.Business("no")
			}
			return nil
		}})
		for _, id := range []string{"fine", "once", "process", "produce", "success", "exception", "called"} {
			queue.Push(ergon.New([]byte(`"x"`), ergon.WithID(id), ergon.WithSource("test"), ergon.WithCorrelationID("all")))
		}
		consumer := policy.DefaultConsumer()
		consumer.Loop.Streaming = false
		e, err := engine.New(engine.Config{
			Task:   engine.Consume("score", doomed{seam.Operation("get", services.Idempotent)}),
			Source: queue.Source(), Sinks: map[string]ergon.Sink{"out": sink}, Policy: consumer, Connector: "memory",
			Tracer: telemetry.NewTracer(telemetry.TracerConfig{
				Processor: sdktrace.NewSimpleSpanProcessor(exporter), Sampler: sampler, View: telemetry.View{System: "nats", Destination: "S", Group: "score"},
				Provider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)),
			}),
		})
		require.NoError(t, err)
		_, err = e.Run(t.Context())
		require.NoError(t, err)
		all = exporter.GetSpans()
	})
	return all
}

var attempt = regexp.MustCompile(`^(fetch|process|produce|handle_success|handle_exception)\.attempt\.\d+$`)

// ofOneService are attributes that only the calls of one kind of service have: the tests of
// httpapi, sql and llm see them made.
var ofOneService = regexp.MustCompile(`^(http|server|db|gen_ai)\.`)

// The table says which spans have which attributes; those that are made agree.
func TestSpansAreWhatTheTableSays(t *testing.T) {
	kinds := map[string]string{}
	on := map[string][]string{}
	types := map[string]string{}
	values := map[string][]string{}
	for _, a := range semconv.Attributes() {
		values[a.Name] = valuesOf(a)
	}
	note := func(span string, attrs []attribute.KeyValue) {
		for _, kv := range attrs {
			name := string(kv.Key)
			if !slices.Contains(on[name], span) {
				on[name] = append(on[name], span)
			}
			types[name] = map[attribute.Type]string{attribute.STRING: "string", attribute.INT64: "int", attribute.FLOAT64: "double"}[kv.Value.Type()]
			if len(values[name]) > 0 {
				require.Contains(t, values[name], kv.Value.AsString(), name)
			}
		}
	}
	for _, span := range allSpans(t) {
		name := span.Name
		if attempt.MatchString(name) {
			name = semconv.SpanAttempts
		}
		if name == "rates.get" {
			name = semconv.SpanCall
		}
		kinds[name] = strings.ToLower(span.SpanKind.String())
		note(name, span.Attributes)
		for _, event := range span.Events {
			kinds[event.Name] = semconv.KindEvent
			note(event.Name, event.Attributes)
		}
	}
	tableKinds := map[string]string{}
	for _, s := range semconv.Spans() {
		tableKinds[s.Name] = s.Kind
	}
	require.Equal(t, tableKinds, kinds)
	for _, a := range semconv.Attributes() {
		if ofOneService.MatchString(a.Name) {
			require.Equal(t, []string{semconv.SpanCall}, a.Spans, a.Name)
			continue
		}
		require.ElementsMatch(t, a.Spans, on[a.Name], a.Name)
		if len(a.Spans) > 0 {
			require.Equal(t, a.Type, types[a.Name], a.Name)
		}
		delete(on, a.Name)
	}
	require.Empty(t, on, "attributes that the table has not")
}

// The values in the table are those that the engine knows.
func TestValuesOfAttributes(t *testing.T) {
	table := map[string][]string{}
	for _, a := range semconv.Attributes() {
		table[a.Name] = valuesOf(a)
	}
	require.ElementsMatch(t, outcomes, as[engine.Outcome](table[semconv.AttrOutcome]))
	require.ElementsMatch(t, phases, as[ergon.Phase](table[semconv.AttrPhase]))
	for _, a := range []string{semconv.AttrErrorType, semconv.AttrCategory} {
		require.ElementsMatch(t, categories, as[ergon.Category](table[a]))
	}
	m := (&faulty{}).engine(t, "score").Metrics()
	for _, o := range m.Transactions {
		require.Contains(t, table[semconv.AttrOutcome], string(o.Outcome))
	}
	require.Len(t, m.Transactions, len(table[semconv.AttrOutcome]))
	for _, l := range everything("score").Limits {
		require.Contains(t, table[semconv.AttrLimit], l.Name)
	}
	for _, m := range semconv.Metrics() {
		for _, a := range m.Attributes {
			require.Contains(t, table, a, m.Name)
		}
	}
}

func valuesOf(a semconv.Attribute) (all []string) {
	for _, v := range a.Values {
		all = append(all, v.Name)
	}
	return all
}

func as[To ~string](all []string) (to []To) {
	for _, s := range all {
		to = append(to, To(s))
	}
	return to
}
