package llm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/services"
)

// Stream gives the model's answer to yield as it comes, piece by piece, on the caller's
// goroutine. An error of yield's ends it, and is Stream's. It is tried again only until the
// first piece came, for yield would see the answer's beginning twice; the policy's timeout
// is of the whole answer.
func (m *Model) Stream(ctx context.Context, p Prompt, yield func(chunk string) error) error {
	var n int64 // attempts follow one another
	yielded := false
	text, err := services.Call(ctx, m.stream, p, func(ctx context.Context, p Prompt) (string, error) {
		n++
		text, err := m.follow(ctx, p, n, func(chunk string) error {
			yielded = true
			return yield(chunk)
		})
		if err != nil && yielded {
			err = resilience.Final(err)
		}
		return text, err
	})
	if err == nil && !yielded { // an observer answered
		return yield(text)
	}
	return err
}

// follow makes one attempt.
func (m *Model) follow(ctx context.Context, p Prompt, n int64, yield func(string) error) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	params := m.params(ctx, p, n, nil)
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := m.chat.NewStreaming(ctx, params)
	if err := stream.Err(); err != nil {
		return "", err // it did not begin
	}
	var text strings.Builder
	var refusal bool
	all := told{stream: true}
	for stream.Next() {
		chunk := stream.Current()
		all.add(chunk)
		if len(chunk.Choices) == 0 {
			continue
		}
		of := chunk.Choices[0]
		refusal = refusal || of.Delta.Refusal != ""
		all.finish = max(all.finish, of.FinishReason) // one chunk has it
		if of.Delta.Content == "" {
			continue
		}
		text.WriteString(of.Delta.Content)
		if err := yield(of.Delta.Content); err != nil {
			cancel() // or closing it would wait for what comes
			_ = stream.Close()
			return "", err
		}
	}
	m.tokens.record(ctx, all)
	if err := stream.Err(); err != nil {
		return "", m.broken(err)
	}
	if all.finish == "" {
		return "", fmt.Errorf("%w: it ended in its middle, after %d bytes", ErrMalformed, text.Len())
	}
	said := ""
	if refusal {
		said = "refused"
	}
	return text.String(), verdictOf(all.finish, said, text.String())
}

// broken is a stream that failed. What the endpoint says in its midst may hold anything.
func (m *Model) broken(err error) error {
	if told, ok := errors.AsType[*ssestream.StreamError](err); ok {
		return ergon.System("the endpoint broke the answer off: %s", httpclient.Excerpt([]byte(told.Message), m.hide))
	}
	return fmt.Errorf("read the answer: %w", err)
}
