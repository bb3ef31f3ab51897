package http

import (
	"context"
	"errors"
	"io"
	nethttp "net/http"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// A Target takes what a route lets in: a [*Receiver] or a [*Source], and nothing else.
type Target interface {
	// wait is how long a request waits, where its route does not say.
	wait() time.Duration
	// take answers the request, or says why not.
	take(w nethttp.ResponseWriter, r *nethttp.Request, a *arrival) *problem
}

// handler is a Route ready for use.
type handler struct {
	route     Route
	to        Target
	auth      *authenticator
	source    string
	wildcards []string // of the path
	headers   []allowed
	cross     *nethttp.CrossOriginProtection
	running   atomic.Int64
	draining  *atomic.Bool // the server's
}

// allowed is a header that becomes metadata.
type allowed struct{ header, name, extension string }

func newHandler(route Route, to Target, draining *atomic.Bool) (*handler, error) {
	if err := route.Validate(); err != nil {
		return nil, err
	}
	h := &handler{
		route: route.withDefaults(to.wait()), to: to, draining: draining,
		cross: nethttp.NewCrossOriginProtection(), wildcards: wildcardsOf(route.Path),
	}
	h.source = route.Source()
	for _, name := range route.Headers {
		lower := strings.ToLower(name)
		extension, _ := strings.CutPrefix(lower, semconv.CEPrefix)
		if extension == lower {
			extension = ""
		}
		h.headers = append(h.headers, allowed{textproto.CanonicalMIMEHeaderKey(name), lower, extension})
	}
	var err error
	h.auth, err = newAuthenticator(route.Auth)
	return h, err
}

// open says that everybody may use the route, and that nobody decided so.
func (h *handler) open() bool { return h.auth.anonymous && !h.route.Auth.Anonymous }

// wildcardsOf are the names of a pattern's wildcards.
func wildcardsOf(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && name != "$}" {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}

// ServeHTTP answers one request, in the goroutine that net/http has for it.
func (h *handler) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	if p := h.serve(w, r); p != nil {
		p.write(w)
	}
}

func (h *handler) serve(w nethttp.ResponseWriter, r *nethttp.Request) *problem {
	defer h.leave()
	if p := h.enter(); p != nil {
		return p
	}
	if p := h.admit(r); p != nil {
		return p
	}
	who, decided, p := h.auth.early(r)
	if p != nil {
		return p
	}
	body, p := h.read(w, r)
	if p != nil {
		return p
	}
	now := time.Now()
	if !decided {
		if who, p = h.auth.signed(r, body, now); p != nil {
			return p
		}
	}
	a, p := h.arrival(r, body, who, now)
	if p != nil {
		return p
	}
	return h.to.take(w, r, a)
}

// enter counts a request among those that are under way. leave takes it out again,
// whatever enter said.
func (h *handler) enter() *problem {
	if h.running.Add(1) <= int64(h.route.Concurrency) {
		return nil
	}
	p := refuse(nethttp.StatusTooManyRequests, "too many requests are under way")
	p.retryAfter = h.route.RetryAfter
	return p
}

func (h *handler) leave() { h.running.Add(-1) }

// admit refuses what would be misunderstood, or comes at the wrong time.
func (h *handler) admit(r *nethttp.Request) *problem {
	switch {
	case h.draining.Load():
		return h.stopping()
	case len(r.TransferEncoding) > 1 || len(r.TransferEncoding) == 1 && r.TransferEncoding[0] != "chunked":
		p := refuse(nethttp.StatusNotImplemented, "of transfer encodings only chunked is understood")
		p.close = true
		return p
	case r.Header["Content-Encoding"] != nil:
		return refuse(nethttp.StatusUnsupportedMediaType, "a body with a content encoding is not decoded: send it as it is")
	case h.cross.Check(r) != nil: // a page of another site, in the browser of somebody who is let in
		return refuse(nethttp.StatusForbidden, "")
	}
	return nil
}

func (h *handler) stopping() *problem {
	p := unavailable(h.route.RetryAfter, "the server is stopping")
	p.close = true
	return p
}

// read reads the body. It is never used again: a sink may hold it for longer than the
// request lasts.
func (h *handler) read(w nethttp.ResponseWriter, r *nethttp.Request) ([]byte, *problem) {
	var body []byte
	var err error
	switch limit := h.route.MaxBody; {
	case r.ContentLength > limit:
		err = &nethttp.MaxBytesError{Limit: limit}
	case r.ContentLength > 0:
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	case r.ContentLength < 0:
		body, err = io.ReadAll(nethttp.MaxBytesReader(w, r.Body, limit))
	}
	if err == nil {
		return body, nil
	}
	p := refuse(nethttp.StatusBadRequest, "the body does not come to its end")
	if _, ok := errors.AsType[*nethttp.MaxBytesError](err); ok {
		p = refuse(nethttp.StatusRequestEntityTooLarge, "the body is longer than this route takes")
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		p = refuse(nethttp.StatusRequestTimeout, "the body did not come in time")
	}
	p.close = r.ProtoMajor < 2 // over HTTP/2 the rest of the body ends with its stream, and others go on
	return nil, p
}

// within is a context for as long as a request waits. The end of its client does not end
// what was handed over with it.
func (h *handler) within(r *nethttp.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), h.route.Wait)
}
