package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
)

// Request is what is asked: what an [ergon.CallObserver] sees. It holds no credentials of
// the client's.
type Request struct {
	Method string      `json:"method"`
	Path   string      `json:"path"` // below the client's URL, escaped
	Query  url.Values  `json:"query,omitempty"`
	Header http.Header `json:"header,omitempty"` // that the call gave
	Key    string      `json:"key,omitempty"`    // the Idempotency-Key
	Body   any         `json:"body,omitempty"`   // as it was before it became JSON; nil is none
}

// Option adds to one request.
type Option func(*Request)

// Query adds a parameter; a name may have several.
func Query(name, value string) Option {
	return func(r *Request) {
		if r.Query == nil {
			r.Query = url.Values{}
		}
		r.Query.Add(name, value)
	}
}

// Header sets a header. It wins over the client's own, but for who asks.
func Header(name, value string) Option {
	return func(r *Request) {
		if r.Header == nil {
			r.Header = http.Header{}
		}
		r.Header.Set(name, value)
	}
}

// Key sets the Idempotency-Key. An operation that is services.Once has one without it:
// [ergon.NewID], which is the same in each attempt as long as the task makes such calls one
// after another, in the same order. Where it does not, the key is its to say.
func Key(key string) Option { return func(r *Request) { r.Key = key } }

// Path is a path of segments, each escaped: an ID with a slash or a question mark in it
// stays one. A call whose segment is empty, "." or ".." fails, for it would ask for
// something else.
func Path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		if escaped[i] = url.PathEscape(s); s == "" {
			escaped[i] = "." // which no call takes
		}
	}
	return strings.Join(escaped, "/")
}

// Get asks for what is at path, below the client's URL. See [Do].
func Get[Res any](ctx context.Context, op *Operation, path string, options ...Option) (Res, error) {
	return Do[Res](ctx, op, http.MethodGet, path, nil, options...)
}

// Post sends body as JSON to path, below the client's URL. See [Do].
func Post[Res any](ctx context.Context, op *Operation, path string, body any, options ...Option) (Res, error) {
	return Do[Res](ctx, op, http.MethodPost, path, body, options...)
}

// None is an answer that nobody reads: Do[None] takes any that is 2xx.
type None struct{}

// Do makes one call of op: the request's method, its path below the client's URL, and a
// body that becomes JSON, where it is not nil. The answer is decoded as Res; fields that it
// does not know are left out. Parameters are given by [Query], not in the path. What an
// error means stands at [Client].
func Do[Res any](ctx context.Context, op *Operation, method, path string, body any, options ...Option) (Res, error) {
	r := Request{Method: method, Path: strings.TrimPrefix(path, "/"), Body: body}
	for _, o := range options {
		o(&r)
	}
	if op.once && r.Key == "" && !safe(method) {
		r.Key = ergon.NewID(ctx)
	}
	return services.Call(ctx, op.call, r, func(ctx context.Context, r Request) (Res, error) {
		return exchange[Res](ctx, op, r)
	})
}

// safe methods change nothing, by definition.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// build makes the request of one attempt. What is wrong with it is wrong in the next
// attempt too.
func (o *Operation) build(ctx context.Context, r Request) (*http.Request, error) {
	at, err := o.client.at(r)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if r.Body != nil {
		text, err := json.Marshal(r.Body)
		if err != nil {
			return nil, ergon.Business("%s %s: encode a %T: %w", r.Method, r.Path, r.Body, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, at, body)
	if err != nil {
		return nil, ergon.Business("%q is no method", r.Method)
	}
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	o.client.sign(req.Header)
	for name, values := range r.Header {
		if name != "Authorization" {
			req.Header[name] = values
		}
	}
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	if o.once && !safe(r.Method) {
		onlyOnce(req)
	}
	return req, nil
}

// onlyOnce keeps the transport from sending a request again when a connection that was
// used before breaks: it does where it can have the body anew, and takes a key for a leave.
func onlyOnce(req *http.Request) {
	if req.GetBody = nil; req.Body == nil {
		req.Body = io.NopCloser(strings.NewReader(""))
	}
}

// at is the request's URL.
func (c *Client) at(r Request) (string, error) {
	path, _, query := strings.Cut(r.Path, "?")
	if query || strings.Contains(path, "#") {
		return "", ergon.Business("path %q: it has a query or a fragment: give that by httpapi.Query, and escape what is of the path by httpapi.Path", path)
	}
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return "", ergon.Business("path %q: %w", path, err)
		}
		if slices.Contains([]string{".", ".."}, plain) {
			return "", ergon.Business("path %q: it has a segment %q, or an empty one, and would ask for something else", path, plain)
		}
	}
	at := fmt.Sprintf("%s://%s%s", c.base.Scheme, c.base.Host, strings.TrimSuffix(c.base.EscapedPath(), "/"))
	if path != "" {
		at += "/" + path
	}
	if len(r.Query) > 0 {
		at += "?" + r.Query.Encode()
	}
	return at, nil
}
