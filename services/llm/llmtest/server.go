package llmtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// What Setup says.
const (
	Key   = "llmtest-key"
	Model = "llmtest-model"
)

// Server is an endpoint that answers as it is told. It is safe for concurrent use.
type Server struct {
	// URL is where it is: http://127.0.0.1, a port, and /v1.
	URL string

	answer   func(Request) Answer
	closed   chan struct{}
	mu       sync.Mutex
	requests []Request
}

// Request is one that arrived with the right key.
type Request struct {
	Model, System, User string
	Temperature         *float64 // nil where it was not sent, as below
	MaxTokens, Seed     *int64
	Stream              bool
	// Schema is the answer's, SchemaName its name; nil where the answer is text. Strict
	// says whether it was asked for strictly.
	Schema     json.RawMessage
	SchemaName string
	Strict     bool
	Header     http.Header
	Body       json.RawMessage // all of it, as it came
}

// New starts an endpoint, which ends with the test. answer may be called by many goroutines
// at once; a nil one says "ok".
func New(tb testing.TB, answer func(Request) Answer) *Server {
	tb.Helper()
	if answer == nil {
		answer = func(Request) Answer { return Text("ok") }
	}
	s := &Server{answer: answer, closed: make(chan struct{})}
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = h.URL + "/v1"
	tb.Cleanup(func() {
		close(s.closed)
		h.CloseClientConnections()
		h.Close()
	})
	return s
}

// Setup is what a model at this endpoint is made of, under the service's name. Its policy is
// the default of models; tests that are to see many failures shorten its backoff.
func (s *Server) Setup(name string) services.Setup[spec.LLM] {
	return services.Setup[spec.LLM]{Name: name, Config: spec.LLM{URL: s.URL, APIKey: Key, Model: Model, MaxTokens: 1024}}
}

// Requests are those that arrived until now, in their order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// wire is a request as the API has it.
type wire struct {
	Model    string
	Messages []struct {
		Role    string
		Content string
	}
	Temperature         *float64
	MaxTokens           *int64 `json:"max_tokens"`
	MaxCompletionTokens *int64 `json:"max_completion_tokens"`
	Seed                *int64
	Stream              bool
	ResponseFormat      *struct {
		Type       string
		JSONSchema struct {
			Name   string
			Strict bool
			Schema json.RawMessage
		} `json:"json_schema"`
	} `json:"response_format"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	var body json.RawMessage
	var in wire
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions":
		fail(w, http.StatusNotFound, "no such path: "+r.Method+" "+r.URL.Path)
		return
	case r.Header.Get("Authorization") != "Bearer "+Key:
		fail(w, http.StatusUnauthorized, "incorrect API key provided: "+r.Header.Get("Authorization")) // as some do
		return
	case json.NewDecoder(r.Body).Decode(&body) != nil || json.Unmarshal(body, &in) != nil:
		fail(w, http.StatusBadRequest, "the request is malformed")
		return
	}
	asked := Request{Model: in.Model, Temperature: in.Temperature, MaxTokens: in.MaxTokens, Seed: in.Seed, Stream: in.Stream,
		Header: r.Header.Clone(), Body: body}
	if asked.MaxTokens == nil {
		asked.MaxTokens = in.MaxCompletionTokens
	}
	for _, m := range in.Messages {
		switch m.Role {
		case "system":
			asked.System = m.Content
		case "user":
			asked.User = m.Content
		}
	}
	if f := in.ResponseFormat; f != nil {
		asked.Schema, asked.SchemaName, asked.Strict = f.JSONSchema.Schema, f.JSONSchema.Name, f.JSONSchema.Strict
	}
	s.mu.Lock()
	s.requests = append(s.requests, asked)
	s.mu.Unlock()
	s.send(w, r, asked, s.answer(asked))
}
