package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The defaults of a [ServerConfig] and of a [Route].
const (
	DefaultAddress           = "127.0.0.1:8080"
	DefaultMaxHeader         = 64 << 10
	DefaultReadHeaderTimeout = 5 * time.Second
	DefaultReadTimeout       = 30 * time.Second
	DefaultIdleTimeout       = 2 * time.Minute

	DefaultMaxBody     = 768 << 10
	DefaultConcurrency = 256
	DefaultRetryAfter  = time.Second
	DefaultStoreWait   = 5 * time.Second
	DefaultResultWait  = 30 * time.Second
)

// A ServerConfig says where a [Server] listens and what it puts up with. A zero value is
// the default.
type ServerConfig struct {
	// Address is a host and a port. Default 127.0.0.1:8080: only this machine.
	Address string `yaml:"address" json:"address,omitempty"`
	// Cert and Key are PEM files, for TLS and with it HTTP/2. Default: neither, no TLS.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// ClientCA is a PEM file with the authorities whose client certificates are believed,
	// for routes with [Auth.Certificate]. Default: none is.
	ClientCA string `yaml:"client_ca" json:"client_ca,omitempty"`
	// MaxHeader is how long a request's line and headers may be, in bytes; over it the
	// answer is 431. Default 64 KiB.
	MaxHeader int `yaml:"max_header" json:"max_header,omitempty"`
	// ReadHeaderTimeout is how long the headers may take (default 5 s), ReadTimeout the
	// headers and the body (default 30 s), IdleTimeout how long a connection is kept open
	// for the next request (default 2 min).
	ReadHeaderTimeout time.Duration `yaml:"read_header_timeout" json:"read_header_timeout,omitempty"`
	ReadTimeout       time.Duration `yaml:"read_timeout" json:"read_timeout,omitempty"`
	IdleTimeout       time.Duration `yaml:"idle_timeout" json:"idle_timeout,omitempty"`
	// WriteTimeout is how long it may take from a request's headers until its answer is
	// written. Default: ReadTimeout, the longest wait of a route and ten seconds together.
	WriteTimeout time.Duration `yaml:"write_timeout" json:"write_timeout,omitempty"`
}

func (c ServerConfig) withDefaults() ServerConfig {
	orDefault(&c.Address, DefaultAddress)
	orDefault(&c.MaxHeader, DefaultMaxHeader)
	orDefault(&c.ReadHeaderTimeout, DefaultReadHeaderTimeout)
	orDefault(&c.ReadTimeout, DefaultReadTimeout)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	return c
}

// Validate says what is wrong with the configuration, without touching a file.
func (c ServerConfig) Validate() error {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("http server: cert and key belong together: set both or neither")
	case c.ClientCA != "" && c.Cert == "":
		return errors.New("http server: client_ca needs TLS: set cert and key")
	case c.MaxHeader < 0, c.ReadHeaderTimeout < 0, c.ReadTimeout < 0, c.IdleTimeout < 0, c.WriteTimeout < 0:
		return errors.New("http server: a limit or timeout is negative: 0 is the default")
	}
	return nil
}

// A Route is a method and a path, and what is demanded of the requests to them. A zero
// value is the default.
type Route struct {
	// Name is part of the identity of what the route takes: keep it when the path changes.
	// Transactions have it in their source: see [Route.Source]. Default: the path.
	Name string `yaml:"name" json:"name,omitempty"`
	// Method is the request's. Default POST.
	Method string `yaml:"method" json:"method,omitempty"`
	// Path is a pattern of net/http's ServeMux: /orders, /orders/{tenant}, /hooks/. Each
	// wildcard becomes metadata, "path.tenant", and part of the identity. Required.
	Path string `yaml:"path" json:"path"`
	// Auth says who may send. Without it everybody on this machine may; a server that
	// listens beyond it refuses to start with such a route.
	Auth Auth `yaml:"auth" json:"auth,omitzero"`
	// MaxBody is how many bytes a body may have; over it the answer is 413. Default
	// 768 KiB, which fits NATS' 1 MiB together with its headers.
	MaxBody int64 `yaml:"max_body" json:"max_body,omitempty"`
	// Concurrency is how many requests may be under way; over it the answer is 429. Their
	// bodies take up to MaxBody each. Default 256.
	Concurrency int `yaml:"concurrency" json:"concurrency,omitempty"`
	// Wait is how long a request waits, for being stored (default 5 s) or for its result
	// (default 30 s). Then the answer is 503.
	Wait time.Duration `yaml:"wait" json:"wait,omitempty"`
	// RetryAfter is what 429 and 503 tell the caller to wait for. Default 1 s, and at
	// least that.
	RetryAfter time.Duration `yaml:"retry_after" json:"retry_after,omitempty"`
	// Headers are those that become metadata, under their names in lower case. Attributes
	// of an event that are none of Ergon's are named as in binary mode: ce-tenant.
	// Authorization, Cookie and what carries signatures can't be named. Default: none.
	Headers []string `yaml:"headers" json:"headers,omitempty"`
	// Type is the type of what comes without one.
	Type string `yaml:"type" json:"type,omitempty"`
	// Peer says that the callers are programs of Ergon, or as trusted: the transaction
	// keeps the ce-id and ce-source that it came with, and its metadata (Ergon-Meta-*).
	// IDs must be unique over all of their sources. Not for strangers: whoever knows an ID
	// can have it taken for a copy.
	Peer bool `yaml:"peer" json:"peer,omitempty"`
	// Reply is the task's route whose outputs are the answer, for a [Source]. Default: all
	// of its outputs are.
	Reply string `yaml:"reply" json:"reply,omitempty"`
	// Status is the path of the status of a transaction, for a [Receiver] with records. It
	// ends in {transaction}. Default: the path and /status/{transaction}.
	Status string `yaml:"status" json:"status,omitempty"`
}

func (r Route) withDefaults(wait time.Duration) Route {
	orDefault(&r.Name, r.Path)
	orDefault(&r.Method, nethttp.MethodPost)
	r.Method = strings.ToUpper(r.Method)
	orDefault(&r.MaxBody, DefaultMaxBody)
	orDefault(&r.Concurrency, DefaultConcurrency)
	orDefault(&r.Wait, wait)
	orDefault(&r.RetryAfter, DefaultRetryAfter)
	if r.Status == "" {
		r.Status = strings.TrimSuffix(strings.TrimSuffix(r.Path, "{$}"), "/") + "/status" + statusSuffix
	}
	return r
}

// Source is the source of the route's transactions: "http:" and its name, escaped as a
// path is, for a source is a URI reference. Those that a peer's route takes keep theirs.
func (r Route) Source() string {
	orDefault(&r.Name, r.Path)
	return "http:" + (&url.URL{Path: r.Name}).EscapedPath()
}

// statusSuffix ends a status path: it is where the ID stands.
const statusSuffix = "/{transaction}"

// forbidden are headers that carry credentials: they never become metadata (RFC-001 §9).
var forbidden = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true,
	headerWebhookSignature: true, headerHubSignature: true, "X-Hub-Signature": true,
}

// Validate says what is wrong with the route.
func (r Route) Validate() error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("http route %q: %s", r.Path, fmt.Sprintf(format, a...))
	}
	switch {
	case !strings.HasPrefix(r.Path, "/"):
		return fail("a path begins with /")
	case strings.ContainsAny(r.Path, " \t\r\n") || strings.ContainsAny(r.Method, " \t\r\n"):
		return fail("neither a path nor a method (%q) has spaces in it", r.Method)
	case !cleanText(r.Name) || !cleanText(r.Type):
		return fail("name and type have no control characters in them")
	case r.MaxBody < 0, r.Concurrency < 0, r.Wait < 0, r.RetryAfter < 0:
		return fail("a limit or a time is negative: 0 is the default")
	case r.Status != "" && (!strings.HasPrefix(r.Status, "/") || !strings.HasSuffix(r.Status, statusSuffix)):
		return fail("the status path %q begins with / and ends in %s", r.Status, statusSuffix)
	}
	for _, name := range wildcardsOf(strings.TrimSuffix(r.Status, statusSuffix)) {
		if !slices.Contains(wildcardsOf(r.Path), name) {
			return fail("the status path has a {%s}, which the path has not", name)
		}
	}
	for _, name := range r.Headers {
		if canonical := textproto.CanonicalMIMEHeaderKey(name); name == "" || forbidden[canonical] || strings.HasPrefix(canonical, "Ergon-") {
			return fail("header %q can't become metadata: it carries credentials, or is Ergon's own", name)
		}
	}
	if err := r.Auth.Validate(); err != nil {
		return fail("%v", err)
	}
	return nil
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
