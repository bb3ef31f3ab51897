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

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// A Target takes what a route lets in: a [*Receiver] or a [*Source], and nothing else.
type Target interface {
	// wait is how long a request waits, where its route does not say.
	wait() time.Duration
	// take answers the request, or says why not.
	take(w nethttp.ResponseWriter, r *nethttp.Request, a *arrival) *problem
}

// arrival is a request that was let in, read and understood.
type arrival struct {
	tx    ergon.Raw
	keyed bool   // its caller may send it again, under the same ID
	owner string // the principal
	route *handler
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
	h.source = "http:" + h.route.Name
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
	defer h.running.Add(-1)
	if h.running.Add(1) > int64(h.route.Concurrency) {
		p := refuse(nethttp.StatusTooManyRequests, "too many requests are under way")
		p.retryAfter = h.route.RetryAfter
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
	p.close = true
	return nil, p
}

// arrival makes a transaction of a request.
func (h *handler) arrival(r *nethttp.Request, body []byte, who caller, now time.Time) (*arrival, *problem) {
	e, err := readEvent(r.Header, body, h.route.Peer)
	if errors.Is(err, errMedia) {
		return nil, refuse(nethttp.StatusUnsupportedMediaType, err.Error())
	}
	var key requestKey
	if err == nil {
		key, err = keyOf(r.Header, e, who.signed)
	}
	var values []string // of the path's wildcards
	if err == nil {
		values, err = h.pathValues(r)
	}
	var metadata []string
	if err == nil {
		metadata, err = h.metadata(r.Header, e, values)
	}
	if err != nil {
		return nil, refuse(nethttp.StatusBadRequest, err.Error())
	}
	a := &arrival{keyed: key != requestKey{}, owner: who.principal, route: h}
	keep := h.route.Peer && e.id != ""
	a.tx = ergon.New(e.payload, func(env *ergon.Envelope) {
		env.Source = h.source
		switch {
		case keep:
			env.ID, env.Source = e.id, e.source
		case a.keyed:
			env.ID = keyedID(h.route.Name, values, who.principal, key)
		}
		env.Type, env.Key, env.ContentType = e.kind, e.subject, e.contentType
		orDefault(&env.Type, h.route.Type)
		env.CausationID, env.CorrelationID = e.causation, e.correlation
		env.CreatedAt = now.UTC()
		if !e.time.IsZero() {
			env.CreatedAt = e.time.UTC()
		}
		env.Trace = trace(r.Header)
		if len(metadata) > 0 {
			env.Metadata = ergon.NewMetadata(func(yield func(string, string) bool) {
				for i := 0; i < len(metadata); i += 2 {
					if !yield(metadata[i], metadata[i+1]) {
						return
					}
				}
			})
		}
	})
	return a, nil
}

func (h *handler) pathValues(r *nethttp.Request) (values []string, err error) {
	for _, name := range h.wildcards {
		value := r.PathValue(name)
		if !cleanText(value) {
			return nil, errors.New("the path is not UTF-8, or has control characters in it")
		}
		values = append(values, value)
	}
	return values, nil
}

// metadata is names and values in turn.
func (h *handler) metadata(header nethttp.Header, e event, values []string) (metadata []string, err error) {
	add := func(name, value string) {
		if !cleanText(value) {
			err = errors.New("header " + name + " is not UTF-8, or has control characters in it")
		}
		metadata = append(metadata, name, value)
	}
	for i, name := range h.wildcards {
		add("path."+name, values[i])
	}
	if e.id != "" && !h.route.Peer { // it got an ID of ours
		add(semconv.CEID, e.id)
		add(semconv.CESource, e.source)
	}
	for _, a := range h.headers {
		if value, ok := e.extensions[a.extension]; ok && a.extension != "" {
			add(a.name, value)
			continue
		}
		for _, value := range header[a.header] {
			if a.extension != "" {
				if value, err = attribute(header, a.header); err != nil {
					return nil, err
				}
			}
			add(a.name, value)
		}
	}
	if h.route.Peer {
		err = errors.Join(err, peerMetadata(header, add))
	}
	return metadata, err
}

// peerMetadata is that of a transaction of another program of Ergon.
func peerMetadata(header nethttp.Header, add func(name, value string)) error {
	for name, values := range header {
		encoded, ok := strings.CutPrefix(name, headerMetaPrefix)
		if !ok {
			continue
		}
		name, err := unescape(strings.ToLower(encoded))
		if err != nil || !cleanText(name) {
			return errors.New("the name of an entry of metadata is malformed")
		}
		for _, value := range values {
			if value, err = unescape(value); err != nil {
				return errors.New("the value of an entry of metadata is malformed")
			}
			add(name, value)
		}
	}
	return nil
}

// within is a context for as long as a request waits. The end of its client does not end
// what was handed over with it.
func (h *handler) within(r *nethttp.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), h.route.Wait)
}
