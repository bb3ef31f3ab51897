package llmtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services/llm"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
)

type verdict struct {
	Spam bool   `json:"spam"`
	Why  string `json:"why,omitempty"`
}

// The endpoint answers as the function says, and the client under test is the real one.
func TestServer(t *testing.T) {
	endpoint := llmtest.New(t, func(r llmtest.Request) llmtest.Answer {
		switch {
		case strings.Contains(r.User, "lottery"):
			return llmtest.JSON(verdict{Spam: true})
		case r.User == "late":
			a := llmtest.Text("at last")
			a.After = time.Millisecond
			return a
		case r.User == "never":
			return llmtest.Answer{Stall: -1}
		case r.User == "bad":
			return llmtest.Refuse("no")
		}
		return llmtest.Fail(400, "what?")
	})
	m, err := llm.New(endpoint.Setup("judge"))
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Stop(context.Background())) }()

	got, err := llm.Ask[verdict](t.Context(), m, llm.Prompt{System: "judge", User: "lottery!"})
	require.NoError(t, err)
	require.Equal(t, verdict{Spam: true}, got)
	text, err := m.Complete(t.Context(), llm.Prompt{User: "late"})
	require.NoError(t, err)
	require.Equal(t, "at last", text)
	_, err = m.Complete(t.Context(), llm.Prompt{User: "bad"})
	require.ErrorIs(t, err, llm.ErrRefused)
	_, err = m.Complete(t.Context(), llm.Prompt{User: "else"})
	require.EqualError(t, err, `BUSINESS: judge.complete: the endpoint answers 400 Bad Request: `+
		`{"error":{"code":null,"message":"what?","param":null,"type":"llmtest"}}`)

	// A test that ends does not wait for an answer that never comes.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = m.Complete(ctx, llm.Prompt{User: "never"})
	require.ErrorIs(t, err, ergon.CategoryTimeout)

	require.Len(t, endpoint.Requests(), 5)
	require.Equal(t, "judge", endpoint.Requests()[0].System)
	require.Panics(t, func() { llmtest.JSON(func() {}) })
}
