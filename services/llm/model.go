package llm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/ergon-framework/ergon/internal/httpclient"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

const (
	// DefaultTimeout is how long an attempt may take where the policy is the default.
	DefaultTimeout = 60 * time.Second

	connections = 256      // bounded by the policy's bulkhead before that
	maxResponse = 16 << 20 // bytes: far more than any model answers
)

// Model asks one model at one endpoint. It is safe for concurrent use.
type Model struct {
	seam                  *services.Seam
	ask, complete, stream *services.Operation
	chat                  openai.ChatCompletionService
	http                  *http.Client
	config                settings
	tokens                *tokens
	schemas               sync.Map            // of reflect.Type: *schema
	hide                  func(string) string // holds the key: what a function holds, nobody prints
}

// settings are what the configuration says, without the key.
type settings struct {
	model       string
	host        string
	temperature float64
	maxTokens   int64
	newName     bool // max_tokens is called max_completion_tokens
	seed        bool
}

// New returns a model. It asks nobody: whether it is there is found out by the first call.
// A policy that is zero is that of services, with attempts of DefaultTimeout. The error
// names the service and the setting.
func New(s services.Setup[spec.LLM]) (*Model, error) {
	seam, err := s.Within(DefaultTimeout).Seam(services.Classify(httpclient.Classify))
	if err != nil {
		return nil, err
	}
	m := &Model{seam: seam}
	if err := m.configure(s.Config); err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if m.tokens, err = newTokens(s.Meter(), m.config); err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	m.ask = seam.Operation("ask", services.Idempotent)
	m.complete = seam.Operation("complete", services.Idempotent)
	m.stream = seam.Operation("stream", services.Idempotent)
	return m, nil
}

func (m *Model) configure(c spec.LLM) error {
	base, err := httpclient.Base(c.URL)
	switch {
	case err != nil:
		return err
	case c.Model == "":
		return errors.New("model: there is none: say which one the endpoint is to ask")
	case c.Temperature < 0 || c.Temperature > 2:
		return fmt.Errorf("temperature: %v is not from 0 to 2", c.Temperature)
	case c.MaxTokens < 0:
		return fmt.Errorf("max_tokens: %d is negative", c.MaxTokens)
	case strings.ContainsFunc(c.APIKey, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("api_key: it can't stand in a header: is there a line break in it?")
	}
	transport, err := httpclient.Transport(httpclient.Config{Connections: connections})
	if err != nil {
		return err
	}
	m.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	m.config = settings{
		model: c.Model, host: base.Hostname(), temperature: c.Temperature, maxTokens: int64(c.MaxTokens), seed: c.Seed,
		// OpenAI's newer models refuse the old name, and others' servers may not know the new one.
		newName: strings.HasSuffix("."+base.Hostname(), ".openai.com") || strings.HasSuffix(base.Hostname(), ".openai.azure.com"),
	}
	m.hide = httpclient.Hide(c.APIKey)
	options := []option.RequestOption{
		option.WithBaseURL(base.String()), option.WithHTTPClient(m.http),
		option.WithMaxRetries(0), // the seam's policy rules
		option.WithMiddleware(guard(m.hide)),
	}
	if c.APIKey != "" {
		options = append(options, option.WithAPIKey(c.APIKey))
	}
	// openai.NewClient would read OPENAI_* of the environment: a service by itself does not.
	m.chat = openai.NewChatCompletionService(options...)
	return nil
}

// guard stands between the SDK and its client. It says what an answer's status means, which
// the SDK does only where the body has the form that it knows; bounds what is read; and
// keeps the machine's description out of the request.
func guard(hide func(string) string) option.Middleware {
	return func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
		for name := range req.Header {
			if strings.HasPrefix(name, "X-Stainless-") {
				req.Header.Del(name)
			}
		}
		req.Header.Set("User-Agent", "ergon")
		ctx, cancel := context.WithCancel(req.Context())
		res, err := next(req.WithContext(ctx))
		if err != nil {
			cancel()
			return nil, unreached(err)
		}
		if res.StatusCode < 200 || res.StatusCode > 299 {
			defer cancel()
			defer httpclient.Close(res.Body, cancel)
			return nil, refused(res, httpclient.Excerpt(httpclient.Begin(res.Body, cancel), hide))
		}
		res.Body = &drained{httpclient.Limit(res.Body, maxResponse), cancel}
		return res, nil
	}
}

// Seam is what all calls go through.
func (m *Model) Seam() *services.Seam { return m.seam }

// Health is that of the seam: nil unless its circuit breaker is open. It asks nobody.
func (m *Model) Health() error { return m.seam.Health() }

// Stop closes the connections that nobody uses. Calls that run go on, and a call that
// follows makes connections anew.
func (m *Model) Stop(context.Context) error {
	m.http.CloseIdleConnections()
	return nil
}
