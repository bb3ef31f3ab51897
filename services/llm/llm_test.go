package llm_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/llm"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
	"github.com/ergon-framework/ergon/services/spec"
)

type setup = services.Setup[spec.LLM]

type Verdict struct {
	Why    string   `json:"why" jsonschema:"description=in one sentence"`
	Spam   bool     `json:"spam"`
	Level  string   `json:"level" jsonschema:"enum=low,enum=high"`
	Score  int      `json:"score,omitempty" jsonschema:"minimum=0,maximum=10"`
	Quotes []Quote  `json:"quotes"`
	Note   *string  `json:"note,omitempty"`
	Inner  struct{} `json:"-"`
}

type Quote struct {
	Text string `json:"text"`
}

var spam = Verdict{Why: "it sells", Spam: true, Level: "high", Score: 9, Quotes: []Quote{{"buy"}}}

// model is one at an endpoint, by the default policy without its waits.
func model(t *testing.T, s setup, change ...func(*setup)) *llm.Model {
	t.Helper()
	s.Policy = policy.DefaultService()
	s.Policy.Retry.Backoff, s.Policy.Retry.BackoffCap = policy.Duration(time.Millisecond), policy.Duration(time.Millisecond)
	for _, c := range change {
		c(&s)
	}
	m, err := llm.New(s)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Stop(context.Background())) })
	return m
}

var prompt = llm.Prompt{System: "You judge mails.", User: "buy <now> & here"}

func always(a llmtest.Answer) func(llmtest.Request) llmtest.Answer {
	return func(llmtest.Request) llmtest.Answer { return a }
}

// An answer has a Go type, whose schema the endpoint gets in strict mode, with its fields in
// the type's order.
func TestAsk(t *testing.T) {
	endpoint := llmtest.New(t, always(llmtest.JSON(spam)))
	m := model(t, endpoint.Setup("judge"), func(s *setup) { s.Config.Temperature = 0.5 })
	got, err := llm.Ask[Verdict](t.Context(), m, prompt)
	require.NoError(t, err)
	require.Equal(t, spam, got)

	asked := endpoint.Requests()[0]
	require.Equal(t, prompt, llm.Prompt{System: asked.System, User: asked.User})
	require.Equal(t, llmtest.Model, asked.Model)
	require.Equal(t, 0.5, *asked.Temperature)
	require.EqualValues(t, 1024, *asked.MaxTokens)
	require.Nil(t, asked.Seed)
	require.False(t, asked.Stream)
	require.True(t, asked.Strict)
	require.Equal(t, "Verdict", asked.SchemaName)
	require.Equal(t, `{"$defs":{"Quote":{"properties":{"text":{"type":"string"}},"additionalProperties":false,"type":"object","required":["text"]}},`+
		`"properties":{"why":{"type":"string","description":"in one sentence"},"spam":{"type":"boolean"},"level":{"type":"string","enum":["low","high"]},`+
		`"score":{"anyOf":[{"type":"integer","maximum":10,"minimum":0},{"type":"null"}]},"quotes":{"items":{"$ref":"#/$defs/Quote"},"type":"array"},`+
		`"note":{"anyOf":[{"type":"string"},{"type":"null"}]}},"additionalProperties":false,"type":"object",`+
		`"required":["why","spam","level","score","quotes","note"]}`, string(asked.Schema))
	require.Equal(t, "ergon", asked.Header.Get("User-Agent"))
	for name := range asked.Header {
		require.NotContains(t, name, "Stainless", "it says nothing of the machine")
	}
	_, err = llm.Ask[Verdict](t.Context(), m, llm.Prompt{User: "x"})
	require.NoError(t, err)
	require.NotContains(t, string(endpoint.Requests()[1].Body), "system")
}

func TestComplete(t *testing.T) {
	endpoint := llmtest.New(t, nil)
	m := model(t, endpoint.Setup("judge"), func(s *setup) { s.Config.MaxTokens = 0 })
	text, err := m.Complete(t.Context(), prompt)
	require.NoError(t, err)
	require.Equal(t, "ok", text)
	require.Nil(t, endpoint.Requests()[0].MaxTokens, "0 is what the endpoint allows")
	require.Nil(t, endpoint.Requests()[0].Schema)
	require.Zero(t, *endpoint.Requests()[0].Temperature)
}

// The client takes nothing from the environment: neither another key, nor another endpoint.
func TestEnvironmentIsNotRead(t *testing.T) {
	for _, name := range []string{"OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"} {
		t.Setenv(name, "from-the-environment")
	}
	t.Setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/")
	t.Setenv("OPENAI_CUSTOM_HEADERS", "X-From: from-the-environment")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1/")
	endpoint := llmtest.New(t, nil)
	_, err := model(t, endpoint.Setup("judge")).Complete(t.Context(), prompt)
	require.NoError(t, err)
	require.Equal(t, "Bearer "+llmtest.Key, endpoint.Requests()[0].Header.Get("Authorization"))
	text, err := json.Marshal(endpoint.Requests())
	require.NoError(t, err)
	require.NotContains(t, string(text), "from-the-environment")

	s := endpoint.Setup("judge")
	s.Config.APIKey = ""
	_, err = model(t, s).Complete(t.Context(), prompt)
	require.ErrorContains(t, err, "401", "no key is none")
}

// A seed is the transaction's and the attempt's: the same for whoever runs it again, and
// another one for what follows an answer that was malformed.
func TestSeeds(t *testing.T) {
	n := 0
	endpoint := llmtest.New(t, func(llmtest.Request) llmtest.Answer {
		if n++; n == 1 {
			return llmtest.Text("no JSON")
		}
		return llmtest.JSON(spam)
	})
	m := model(t, endpoint.Setup("judge"), func(s *setup) { s.Config.Seed = true })
	in := func(id string, attempt int) context.Context {
		return ergon.WithExecution(t.Context(), &ergon.Execution{Source: "s", TransactionID: id, Task: "t", Attempt: attempt})
	}
	for _, ctx := range []context.Context{in("1", 1), in("1", 1), in("1", 2), in("2", 1), t.Context()} {
		_, err := llm.Ask[Verdict](ctx, m, prompt)
		require.NoError(t, err)
	}
	var seeds []int64
	for _, r := range endpoint.Requests()[:5] {
		seeds = append(seeds, *r.Seed)
	}
	require.NotEqual(t, seeds[0], seeds[1], "after a malformed answer")
	require.Equal(t, seeds[0], seeds[2], "the same attempt again")
	require.NotEqual(t, seeds[0], seeds[3], "the next attempt")
	require.NotEqual(t, seeds[0], seeds[4], "another transaction")
	require.Nil(t, endpoint.Requests()[5].Seed, "outside of one there is none")
}

// Tokens are told to a metric and to the call's span, by OpenTelemetry's names.
func TestTokens(t *testing.T) {
	endpoint := llmtest.New(t, always(llmtest.JSON(spam)))
	reader := sdkmetric.NewManualReader()
	m := model(t, endpoint.Setup("judge"), func(s *setup) { s.Meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)) })
	recorder := tracetest.NewSpanRecorder()
	ctx, _ := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), "process.attempt.1")
	_, err := llm.Ask[Verdict](ctx, m, prompt)
	require.NoError(t, err)
	require.NoError(t, m.Stream(ctx, prompt, func(string) error { return nil }))

	common := map[attribute.Key]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "llmtest-model",
		"server.address": "127.0.0.1"}
	for i, want := range []map[attribute.Key]any{
		{"ergon.service.operation": "judge.ask", "gen_ai.output.type": "json", "gen_ai.request.stream": false},
		{"ergon.service.operation": "judge.stream", "gen_ai.output.type": "text", "gen_ai.request.stream": true},
	} {
		for name, v := range common {
			want[name] = v
		}
		for name, v := range map[attribute.Key]any{"ergon.service": "judge", "gen_ai.request.temperature": 0.0, "gen_ai.request.max_tokens": int64(1024),
			"gen_ai.response.model": "llmtest-model", "gen_ai.response.id": "chatcmpl-1", "gen_ai.response.finish_reasons": []string{"stop"},
			"gen_ai.usage.input_tokens": int64(7), "gen_ai.usage.output_tokens": int64(2)} {
			want[name] = v
		}
		got := map[attribute.Key]any{}
		for _, a := range recorder.Ended()[i].Attributes() {
			got[a.Key] = a.Value.AsInterface()
		}
		require.Equal(t, want, got)
	}

	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics, 1)
	require.Len(t, all.ScopeMetrics[0].Metrics, 1)
	metric := all.ScopeMetrics[0].Metrics[0]
	require.Equal(t, "gen_ai.client.token.usage {token}", metric.Name+" "+metric.Unit)
	sums := map[string]int64{}
	for _, p := range metric.Data.(metricdata.Histogram[int64]).DataPoints {
		require.EqualValues(t, 2, p.Count)
		kind, _ := p.Attributes.Value("gen_ai.token.type")
		sums[kind.AsString()] = p.Sum
		require.Equal(t, 5, p.Attributes.Len())
		for name, v := range common {
			is, _ := p.Attributes.Value(name)
			require.Equal(t, v, is.AsInterface())
		}
	}
	require.Equal(t, map[string]int64{"input": 14, "output": 4}, sums)
}

// observer answers for every operation.
type observer struct{ answer any }

func (o observer) Before(context.Context, string, any) (any, bool, error) { return o.answer, true, nil }
func (observer) After(context.Context, string, any, any, error)           {}

func TestObserver(t *testing.T) {
	endpoint := llmtest.New(t, nil)
	m := model(t, endpoint.Setup("judge"))
	got, err := llm.Ask[Verdict](ergon.WithCallObserver(t.Context(), observer{spam}), m, prompt)
	require.NoError(t, err)
	require.Equal(t, spam, got)
	ctx := ergon.WithCallObserver(t.Context(), observer{"all of it"})
	var chunks []string
	require.NoError(t, m.Stream(ctx, prompt, func(c string) error { chunks = append(chunks, c); return nil }))
	require.Equal(t, []string{"all of it"}, chunks)
	require.Empty(t, endpoint.Requests())
}
