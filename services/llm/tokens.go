package llm

import (
	"cmp"
	"context"
	"fmt"

	"github.com/openai/openai-go/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// provider is what OpenTelemetry's conventions have for whoever speaks OpenAI's API; who it
// is in truth, the server's address and the model's name say.
const provider = "openai"

// tokens tell how many there were: to a metric, and to the seam's span.
type tokens struct {
	config settings
	used   metric.Int64Histogram
}

func newTokens(m metric.Meter, c settings) (*tokens, error) {
	of := semconv.MetricTokens
	// The boundaries are the conventions'.
	used, err := m.Int64Histogram(of.Name, metric.WithUnit(of.Unit), metric.WithDescription(of.Description),
		metric.WithExplicitBucketBoundaries(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864))
	if err != nil {
		return nil, fmt.Errorf("make the metric %s: %w", of.Name, err)
	}
	return &tokens{config: c, used: used}, nil
}

// told is what an answer says of itself.
type told struct {
	model, id, finish string
	usage             openai.CompletionUsage
	schema, stream    bool
}

// add takes what a piece of a stream says. The usage stands in the last one.
func (t *told) add(c openai.ChatCompletionChunk) {
	t.model, t.id = cmp.Or(t.model, c.Model), cmp.Or(t.id, c.ID)
	if c.Usage.PromptTokens > 0 || c.Usage.CompletionTokens > 0 {
		t.usage = c.Usage
	}
}

func (k *tokens) record(ctx context.Context, t told) {
	// The model that answered is the endpoint's to say: as an attribute of a metric it would
	// have as many values as that likes.
	common := []attribute.KeyValue{
		attribute.String(semconv.AttrGenAIOperation, "chat"), attribute.String(semconv.AttrGenAIProvider, provider),
		attribute.String(semconv.AttrGenAIRequestModel, k.config.model), attribute.String(semconv.AttrServerAddress, k.config.host),
	}
	for kind, n := range map[string]int64{"input": t.usage.PromptTokens, "output": t.usage.CompletionTokens} {
		if n > 0 { // not every endpoint says
			k.used.Record(ctx, n, metric.WithAttributes(append(common[:len(common):len(common)], attribute.String(semconv.AttrGenAITokenType, kind))...))
		}
	}
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsSampled() {
		return
	}
	output := "text"
	if t.schema {
		output = "json"
	}
	span.SetAttributes(common...)
	span.SetAttributes(attribute.String(semconv.AttrGenAIOutputType, output), attribute.Bool(semconv.AttrGenAIStream, t.stream),
		attribute.Float64(semconv.AttrGenAITemperature, k.config.temperature), attribute.String(semconv.AttrGenAIResponseModel, t.model),
		attribute.String(semconv.AttrGenAIResponseID, t.id), attribute.StringSlice(semconv.AttrGenAIFinish, []string{t.finish}),
		attribute.Int64(semconv.AttrGenAIInput, t.usage.PromptTokens), attribute.Int64(semconv.AttrGenAIOutput, t.usage.CompletionTokens))
	if k.config.maxTokens > 0 {
		span.SetAttributes(attribute.Int64(semconv.AttrGenAIMaxTokens, k.config.maxTokens))
	}
}
