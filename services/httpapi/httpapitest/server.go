package httpapitest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// Server is an API that answers as it is told. It is safe for concurrent use.
type Server struct {
	// URL is where it is: http://127.0.0.1 and a port.
	URL string

	mux      *http.ServeMux
	closed   chan struct{}
	mu       sync.Mutex
	requests []Request
}

// Request is one that arrived.
type Request struct {
	Method, Path string
	Query        url.Values
	Header       http.Header
	Body         []byte
}

// New starts a server, which ends with the test. Requests that it still answers then are
// broken off.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{mux: http.NewServeMux(), closed: make(chan struct{})}
	h := httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = h.URL
	tb.Cleanup(func() {
		close(s.closed)
		h.CloseClientConnections()
		h.Close()
	})
	return s
}

// Setup is what a client of the server is made of, under the service's name. Its policy is
// the default of services; tests that are to see many failures shorten its backoff.
func (s *Server) Setup(name string) services.Setup[spec.HTTP] {
	return services.Setup[spec.HTTP]{Name: name, Config: spec.HTTP{URL: s.URL}}
}

// Handle has the server answer what fits a pattern, as [http.ServeMux] has them: "GET
// /customers/{id}". It may be called while requests arrive. A pattern that was given
// before, or is none, panics.
func (s *Server) Handle(pattern string, a Answer) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { a(w, r) })
}

// Requests are those that arrived until now, in their order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever asked is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.requests = append(s.requests, Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(), Body: body})
	s.mu.Unlock()
	s.mux.ServeHTTP(w, r)
}
