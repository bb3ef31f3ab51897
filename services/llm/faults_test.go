package llm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/llm"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
	"github.com/ergon-framework/ergon/services/spec"
)

// Every way to fail has a category, and is tried again in place or not. The SDK tries
// nothing again by itself.
func TestFailures(t *testing.T) {
	quick := func(s *setup) { s.Policy.Retry.Timeout = policy.Duration(100 * time.Millisecond) }
	for name, c := range map[string]struct {
		answer   llmtest.Answer
		category ergon.Category
		is       error
		asked    int
	}{
		"429":         {llmtest.Fail(429, "slow down"), ergon.CategorySystem, nil, 3},
		"500":         {llmtest.Fail(500, "oops"), ergon.CategorySystem, nil, 3},
		"409":         {llmtest.Fail(409, "oops"), ergon.CategoryBusiness, nil, 1},
		"504":         {llmtest.Fail(504, "oops"), ergon.CategoryTimeout, nil, 3},
		"400":         {llmtest.Fail(400, "context length exceeded"), ergon.CategoryBusiness, nil, 1},
		"401":         {llmtest.Fail(401, "wrong key"), ergon.CategorySystem, nil, 1},
		"404":         {llmtest.Fail(404, "no such model"), ergon.CategorySystem, nil, 1},
		"refused":     {llmtest.Refuse("I can't do that"), ergon.CategoryBusiness, llm.ErrRefused, 1},
		"filtered":    {llmtest.Answer{Finish: "content_filter"}, ergon.CategoryBusiness, llm.ErrFiltered, 1},
		"cut":         {llmtest.Answer{Text: `{"why":"`, Finish: "length"}, ergon.CategoryBusiness, llm.ErrCut, 1},
		"empty":       {llmtest.Answer{Text: " "}, ergon.CategorySystem, llm.ErrMalformed, 3},
		"broken":      {llmtest.Answer{Text: "a b c", Break: 1}, ergon.CategorySystem, io.ErrUnexpectedEOF, 3},
		"broken soon": {llmtest.Answer{Text: "a b c", Break: -1}, ergon.CategorySystem, io.EOF, 3},
		"stalls":      {llmtest.Answer{Text: "a b c", Stall: 1}, ergon.CategoryTimeout, nil, 3},
		"stalls soon": {llmtest.Answer{Text: "a b c", Stall: -1}, ergon.CategoryTimeout, nil, 3},
		"late":        {llmtest.Answer{Text: "a b c", After: time.Hour}, ergon.CategoryTimeout, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := llmtest.New(t, always(c.answer))
			m := model(t, endpoint.Setup("judge"), quick)
			_, complete := m.Complete(t.Context(), prompt)
			require.ErrorContains(t, complete, string(c.category)+": judge.complete: ")
			require.Len(t, endpoint.Requests(), c.asked)
			_, ask := llm.Ask[Verdict](t.Context(), m, prompt)
			require.ErrorContains(t, ask, string(c.category)+": judge.ask: ")
			require.Len(t, endpoint.Requests(), 2*c.asked)
			yielded := 0
			stream := m.Stream(t.Context(), prompt, func(string) error { yielded++; return nil })
			require.ErrorContains(t, stream, string(c.category)+": judge.stream: ")
			want := c.asked
			if yielded > 0 {
				want = 1 // whoever has a piece is not given it twice
			}
			require.Len(t, endpoint.Requests(), 2*c.asked+want)
			for _, err := range []error{complete, ask, stream} {
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
				if c.answer.Status != 0 {
					var status *llm.StatusError
					require.ErrorAs(t, err, &status)
					require.Equal(t, c.answer.Status, status.Status)
					require.Contains(t, status.Body, c.answer.Message)
				}
				for _, word := range []string{"buy", "judge mails", "can't do that"} {
					require.NotContains(t, err.Error(), word, "neither a prompt nor a refusal is told")
				}
			}
		})
	}
}

// What is not tried again in place is by the engine, whose policy has longer waits: a key
// can be renewed meanwhile.
func TestTheEngineTriesAgain(t *testing.T) {
	endpoint := llmtest.New(t, always(llmtest.Fail(401, "wrong key")))
	m := model(t, endpoint.Setup("judge"))
	for _, err := range []error{
		second(m.Complete(t.Context(), prompt)), second(llm.Ask[Verdict](t.Context(), m, prompt)),
		m.Stream(t.Context(), prompt, func(string) error { return nil }),
	} {
		require.ErrorContains(t, err, "401")
		out := resilience.Compile(policy.DefaultService(), nil).Retry(t.Context(),
			&resilience.Run{First: 1, Attempt: func(context.Context, int) error { return nil }}, err)
		require.NoError(t, out.Err)
	}
	require.Len(t, endpoint.Requests(), 3)
}

// What the endpoint asks its callers to wait reaches the engine; in place no wait is longer
// than the policy's cap.
func TestRetryAfter(t *testing.T) {
	n := 0
	endpoint := llmtest.New(t, func(llmtest.Request) llmtest.Answer {
		if n++; n%2 == 1 {
			return llmtest.Answer{Status: 429, Message: "slow down", RetryAfter: 999 * time.Hour}
		}
		return llmtest.Text("ok")
	})
	text, err := model(t, endpoint.Setup("judge")).Complete(t.Context(), prompt)
	require.NoError(t, err)
	require.Equal(t, "ok", text)
	_, err = model(t, endpoint.Setup("judge"), func(s *setup) { s.Policy.Retry.MaxAttempts = 1 }).Complete(t.Context(), prompt)
	after, ok := ergon.RetryAfterOf(err)
	require.True(t, ok)
	require.Equal(t, time.Hour, after)
}

// An answer that is not what was asked for is asked for again, and then final.
func TestMalformed(t *testing.T) {
	well, err := json.Marshal(spam)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"Sure! Here it is: {}":      `it is no JSON: invalid character 'S' looking for beginning of value: it begins "Sure! Here it is: {}"`,
		"```json\n{}```":            "it is no JSON",
		string(well) + "{}":         "it is no JSON: invalid character after top-level value",
		string(well[:20]):           "it is no JSON: unexpected EOF",
		`[]`:                        "got array, want object",
		`{"why":"x"}`:               "missing properties 'spam', 'level', 'quotes'",
		`{"spam":"yes","why":1}`:    "got string, want boolean",
		swap(well, `9`, `11`):       "maximum: got 11, want 10",
		swap(well, `high`, `huge`):  "value must be one of 'low', 'high'",
		swap(well, `"text"`, `"t"`): "additional properties 't' not allowed",
	} {
		endpoint := llmtest.New(t, always(llmtest.Text(text)))
		got, err := llm.Ask[Verdict](t.Context(), model(t, endpoint.Setup("judge")), prompt)
		require.ErrorIs(t, err, llm.ErrMalformed, text)
		require.ErrorIs(t, err, ergon.CategorySystem, text)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "\n")
		require.Less(t, len(err.Error()), 600)
		require.Zero(t, got)
		require.Len(t, endpoint.Requests(), 3, text)
	}
	n := 0
	endpoint := llmtest.New(t, func(llmtest.Request) llmtest.Answer {
		if n++; n == 1 {
			return llmtest.Text("Sure!")
		}
		return llmtest.Text(swap(well, `"score":9`, `"score":null,"note":null`))
	})
	got, err := llm.Ask[Verdict](t.Context(), model(t, endpoint.Setup("judge")), prompt)
	require.NoError(t, err)
	require.Zero(t, got.Score, "what may be left out may be null")
}

// swap replaces what is there.
func swap(text []byte, old, with string) string {
	if !strings.Contains(string(text), old) {
		panic(old)
	}
	return strings.Replace(string(text), old, with, 1)
}

// A type that endpoints take no schema of is nobody's fault but its author's.
func TestTypesWithoutASchema(t *testing.T) {
	endpoint := llmtest.New(t, nil)
	m := model(t, endpoint.Setup("judge"))
	type Map struct{ Of map[string]int }
	type Any struct{ Of []any }
	type Raw struct{ In struct{ Of json.RawMessage } }
	type Self struct{ Of []*Self }
	for want, err := range map[string]error{
		"a string can't be asked for: it is no struct": second(llm.Ask[string](t.Context(), m, prompt)),
		`field "Of" is a map`:                          second(llm.Ask[Map](t.Context(), m, prompt)),
		`field "Of[]" can be anything`:                 second(llm.Ask[Any](t.Context(), m, prompt)),
		`field "In.Of" can be anything`:                second(llm.Ask[Raw](t.Context(), m, prompt)),
		"does it hold itself?":                         second(llm.Ask[Self](t.Context(), m, prompt)),
		"it is no JSON object":                         second(llm.Ask[time.Time](t.Context(), m, prompt)),
	} {
		require.ErrorIs(t, err, ergon.CategoryBusiness)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, endpoint.Requests())
}

func second[T any](_ T, err error) error { return err }

func TestStream(t *testing.T) {
	endpoint := llmtest.New(t, always(llmtest.Text("one two three")))
	m := model(t, endpoint.Setup("judge"))
	var chunks []string
	require.NoError(t, m.Stream(t.Context(), prompt, func(c string) error { chunks = append(chunks, c); return nil }))
	require.Equal(t, []string{"one ", "two ", "three"}, chunks)
	require.True(t, endpoint.Requests()[0].Stream)

	stop := errors.New("enough")
	chunks = nil
	err := m.Stream(t.Context(), prompt, func(c string) error { chunks = append(chunks, c); return stop })
	require.ErrorIs(t, err, stop)
	require.Len(t, chunks, 1)
	err = m.Stream(t.Context(), prompt, func(string) error { return ergon.Business("no: %w", stop) })
	require.EqualError(t, err, "BUSINESS: judge.stream: no: enough")
	require.Len(t, endpoint.Requests(), 3, "what was yielded is not asked for again")
}

// A stall in the midst of a stream is the policy's timeout, whose time it names.
func TestStreamStalls(t *testing.T) {
	endpoint := llmtest.New(t, always(llmtest.Answer{Text: "one two three", Stall: 2}))
	m := model(t, endpoint.Setup("judge"), func(s *setup) { s.Policy.Retry.Timeout = policy.Duration(100 * time.Millisecond) })
	var chunks []string
	err := m.Stream(t.Context(), prompt, func(c string) error { chunks = append(chunks, c); return nil })
	require.ErrorContains(t, err, "TIMEOUT: judge.stream: ")
	require.ErrorContains(t, err, "judge.stream took longer than 100ms")
	require.Equal(t, []string{"one ", "two "}, chunks)
}

// Endpoints that are none: a proxy's page, a redirect, a stream that ends in its middle or
// holds an error, an answer without end.
func TestEndpointsThatAreNone(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for want, serve := range map[string]http.HandlerFunc{
		"SYSTEM: judge.stream: the endpoint answers 503 Service Unavailable: <html>busy</html>": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "<html>busy</html>")
		},
		"SYSTEM: judge.stream: the endpoint answers 307 Temporary Redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"SYSTEM: judge.stream: the answer is malformed: it ended in its middle, after 3 bytes": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"one"}}]}`+"\n\n")
		},
		"SYSTEM: judge.stream: the endpoint broke the answer off: received error while streaming: {\"message\":\"overloaded, …\"}": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `data: {"error":{"message":"overloaded, `+llmtest.Key+`"}}`+"\n\n")
		},
		"SYSTEM: judge.stream: read the answer: the answer is too long: over 16777216 bytes": func(w http.ResponseWriter, r *http.Request) {
			comment := ":" + strings.Repeat(" still here", 6000) + "\n"
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, comment); err != nil {
					return
				}
			}
		},
	} {
		endpoint := httptest.NewServer(serve)
		m := model(t, setup{Name: "judge", Config: spec.LLM{URL: endpoint.URL, Model: "m", APIKey: llmtest.Key}}, func(s *setup) { s.Policy.Retry.MaxAttempts = 1 })
		err := m.Stream(t.Context(), prompt, func(string) error { return nil })
		require.ErrorContains(t, err, want)
		require.Error(t, second(m.Complete(t.Context(), prompt)))
		require.NoError(t, m.Stop(t.Context()))
		endpoint.Close()
	}
	require.Zero(t, elsewhere.Load())
}

// The key is in no error, also where the endpoint sends it back, and in nothing that a model
// prints as.
func TestKeyIsNotShown(t *testing.T) {
	endpoint := llmtest.New(t, nil)
	s := endpoint.Setup("judge")
	s.Config.APIKey = "sk-s3cret"
	var log strings.Builder
	s.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m := model(t, s)
	texts := []string{fmt.Sprintf("%v", m), fmt.Sprintf("%+v", m), fmt.Sprintf("%#v", m)}
	for _, err := range []error{
		second(m.Complete(t.Context(), prompt)), second(llm.Ask[Verdict](t.Context(), m, prompt)),
		m.Stream(t.Context(), prompt, func(string) error { return nil }),
	} {
		require.ErrorContains(t, err, "401 Unauthorized")
		require.ErrorContains(t, err, "incorrect API key provided: Bearer …")
		texts = append(texts, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
	}
	s.Logger.Info("made", "model", m)
	for _, text := range append(texts, log.String()) {
		require.NotContains(t, text, "s3cret")
	}
	for want, c := range map[string]spec.LLM{
		"url: there is none":               {Model: "m"},
		"url: it holds credentials":        {URL: "http://me:s3cret@host", Model: "m"},
		"model: there is none":             {URL: "http://host"},
		"temperature: 3 is not from 0":     {URL: "http://host", Model: "m", Temperature: 3},
		"max_tokens: -1 is negative":       {URL: "http://host", Model: "m", MaxTokens: -1},
		"api_key: it can't stand in a hea": {URL: "http://host", Model: "m", APIKey: "s3cret\n"},
	} {
		_, err := llm.New(setup{Name: "judge", Config: c})
		require.ErrorContains(t, err, `service "judge": `+want)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
