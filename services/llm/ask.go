package llm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
)

// Prompt is what a model is asked. It is what an [ergon.CallObserver] sees.
type Prompt struct {
	// System says what it is to do; may be empty.
	System string `json:"system,omitempty"`
	// User is what it is to do that with.
	User string `json:"user"`
}

// Complete returns the model's answer as text. An empty one is malformed.
func (m *Model) Complete(ctx context.Context, p Prompt) (string, error) {
	var n int64 // attempts follow one another
	return services.Call(ctx, m.complete, p, func(ctx context.Context, p Prompt) (string, error) {
		n++
		return m.answer(ctx, p, n, nil)
	})
}

// Ask returns the model's answer as a T, which is a struct: its JSON Schema goes along, and
// the answer is held against it. Every field is asked for; one with omitempty or omitzero
// may be null, or be left out. Fields are described and bounded by tags, as github.com/invopop/jsonschema
// has them: `jsonschema:"description=…,enum=a,enum=b,minimum=0"`. A T with a map or an
// interface in it has no schema that endpoints take, and is BUSINESS.
func Ask[T any](ctx context.Context, m *Model, p Prompt) (T, error) {
	var n int64 // attempts follow one another
	return services.Call(ctx, m.ask, p, func(ctx context.Context, p Prompt) (answer T, err error) {
		s, err := schemaOf[T](m)
		if err != nil {
			return answer, err
		}
		n++
		text, err := m.answer(ctx, p, n, s)
		if err != nil {
			return answer, err
		}
		if err := s.decode(text, &answer); err != nil {
			var none T
			return none, err
		}
		return answer, nil
	})
}

// answer makes one attempt, the n-th of its call.
func (m *Model) answer(ctx context.Context, p Prompt, n int64, s *schema) (string, error) {
	res, err := m.chat.New(ctx, m.params(ctx, p, n, s))
	if err != nil {
		return "", err
	}
	if len(res.Choices) == 0 {
		return "", fmt.Errorf("%w: it has no choices", ErrMalformed)
	}
	of := res.Choices[0]
	m.tokens.record(ctx, told{model: res.Model, id: res.ID, finish: of.FinishReason, usage: res.Usage, schema: s != nil})
	return of.Message.Content, verdictOf(of.FinishReason, of.Message.Refusal, of.Message.Content)
}

// verdictOf says what is wrong with an answer that came.
func verdictOf(finish, refusal, content string) error {
	switch {
	case refusal != "":
		return &ergon.Error{Category: ergon.CategoryBusiness, Err: ErrRefused} // its words may repeat the prompt
	case finish == "content_filter":
		return &ergon.Error{Category: ergon.CategoryBusiness, Err: ErrFiltered}
	case finish == "length":
		return &ergon.Error{Category: ergon.CategoryBusiness, Err: ErrCut}
	case strings.TrimSpace(content) == "":
		return fmt.Errorf("%w: it is empty, and ended by %q", ErrMalformed, finish)
	}
	return nil
}

func (m *Model) params(ctx context.Context, p Prompt, n int64, s *schema) openai.ChatCompletionNewParams {
	c := m.config
	params := openai.ChatCompletionNewParams{Model: c.model, Temperature: openai.Float(c.temperature)}
	if p.System != "" {
		params.Messages = append(params.Messages, openai.SystemMessage(p.System))
	}
	params.Messages = append(params.Messages, openai.UserMessage(p.User))
	switch {
	case c.maxTokens == 0:
	case c.newName:
		params.MaxCompletionTokens = openai.Int(c.maxTokens)
	default:
		params.MaxTokens = openai.Int(c.maxTokens)
	}
	if seed, ok := seedOf(ctx, n); ok && c.seed {
		params.Seed = openai.Int(seed)
	}
	if s != nil {
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: s.name, Strict: openai.Bool(true), Schema: s.text,
		}}
	}
	return params
}

// seedOf is a function of the transaction, its attempt, and that of the call: whoever runs
// the attempt again asks the same, and an answer that was malformed is not asked for again.
func seedOf(ctx context.Context, n int64) (int64, bool) {
	x := ergon.ExecutionOf(ctx)
	if x.TransactionID == "" {
		return 0, false
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		x.Source, x.TransactionID, x.Task, string(x.Phase), strconv.Itoa(x.Attempt), strconv.FormatInt(n, 10),
	}, "\x00")))
	return int64(binary.BigEndian.Uint32(sum[:]) >> 1), true // 31 bits, which all endpoints take
}
