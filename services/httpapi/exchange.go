package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// exchange makes one attempt: a request, and its answer.
func exchange[Res any](ctx context.Context, o *Operation, r Request) (answer Res, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := o.build(ctx, r)
	if err != nil {
		return answer, err
	}
	res, err := o.client.http.Do(req)
	if err != nil {
		return answer, o.client.unreached(r, err)
	}
	defer httpclient.Close(res.Body, cancel)
	describe(ctx, req, res)
	if res.StatusCode < 200 || res.StatusCode > 299 {
		begin := httpclient.Begin(res.Body, cancel)
		return answer, failed(r, res, httpclient.Excerpt(begin, o.client.hide))
	}
	if _, none := any(answer).(None); none {
		return answer, nil
	}
	text, err := io.ReadAll(httpclient.Limit(res.Body, o.client.max))
	switch {
	case errors.Is(err, httpclient.ErrTooLong):
		return answer, inVain("%s %s: read the answer: %w: max_response says how long it may be", r.Method, r.Path, err)
	case err != nil:
		return answer, fmt.Errorf("%s %s: read the answer, after %d bytes: %w", r.Method, r.Path, len(text), err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		var none Res
		return none, o.client.unread(r, res, text, reflect.TypeFor[Res](), err)
	}
	return answer, nil
}

// unreached says what went wrong before there was an answer. net/http's error has all of
// the URL in it, parameters included.
func (c *Client) unreached(r Request, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
}

// unread is an answer that is not what was asked for.
func (c *Client) unread(r Request, res *http.Response, text []byte, want reflect.Type, err error) error {
	if len(text) == 0 {
		return inVain("%s %s: the answer, %s, is empty: a %v was asked for, and httpapi.None takes an empty one", r.Method, r.Path, res.Status, want)
	}
	at := len(text) // of an end that came too early
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = int(e.Offset)
	} else if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = int(e.Offset)
	}
	const before, after = 60, 40
	near := text[max(at-before, 0):min(at+after, len(text))]
	if c.hide(string(text)) != string(text) {
		near = nil // a cut through a secret would leave a part of it
	}
	return inVain("%s %s: decode the answer (%q, %d bytes) as a %v: at byte %d: %w, near %q", r.Method, r.Path,
		res.Header.Get("Content-Type"), len(text), want, at, err, httpclient.Excerpt(near, c.hide))
}

// inVain is a failure that is nobody's but the service's or its settings', and that another
// attempt at once would only repeat.
func inVain(format string, a ...any) error { return resilience.Final(ergon.System(format, a...)) }

// failed is an answer whose status says so. Where it is one to come back after, it says
// when.
func failed(r Request, res *http.Response, excerpt string) error {
	err := &StatusError{Method: r.Method, Path: r.Path, Status: res.StatusCode, Body: excerpt}
	if res.Header.Get("Location") != "" && res.StatusCode < 400 {
		err.Body = "redirects are followed on the host of url alone, with the method that was asked: is url still right?"
	}
	category, again := httpclient.Verdict(err.Status)
	if !again {
		return resilience.Final(&ergon.Error{Category: category, Err: err})
	}
	if after, ok := httpclient.RetryAfter(res.Header, time.Now()); ok {
		return ergon.RetryAfter(after, err)
	}
	return err
}

// describe says on the seam's span what OpenTelemetry's conventions have for HTTP.
func describe(ctx context.Context, req *http.Request, res *http.Response) {
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsSampled() {
		return
	}
	span.SetAttributes(attribute.String(semconv.AttrHTTPMethod, req.Method), attribute.Int(semconv.AttrHTTPStatus, res.StatusCode),
		attribute.String(semconv.AttrServerAddress, req.URL.Hostname()))
}
