package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"net/url"
	"slices"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
)

// errTimeout is the cause when SinkOptions.Timeout is over.
var errTimeout = errors.New("no whole answer in time")

// classify says what an answer means for the transaction, nil that it is taken.
func (s *Sink) classify(from *url.URL, a sinkReply) error {
	if a.status >= 200 && a.status <= 299 {
		return nil
	}
	text := fmt.Sprintf("%s %s: %d %s", s.options.Method, shown(from), a.status, nethttp.StatusText(a.status))
	if a.unfollowed != "" {
		text += ", and " + a.unfollowed
	}
	if excerpt := s.excerpt(a); excerpt != "" {
		text += ": " + excerpt
	}
	after, asked := httpclient.RetryAfter(a.header, s.now())
	later := func(err error) error {
		if asked {
			return ergon.RetryAfter(after, err)
		}
		return &ergon.Error{Category: ergon.CategoryOf(err), Err: err}
	}
	switch {
	case slices.Contains(s.options.RetryStatuses, a.status):
		return later(errors.New(text)) // whoever set the options knows better
	case a.status == nethttp.StatusUnauthorized, a.status == nethttp.StatusProxyAuthRequired:
		// Who asks is unknown, whatever is sent. Every transaction would fail, and none is
		// to blame: they wait, as far as the policy lets them, for new credentials.
		return ergon.System("%s", text)
	case a.status == nethttp.StatusForbidden && asked:
		return later(errors.New(text)) // some limit rates this way
	case a.status == nethttp.StatusForbidden:
		// Who asks is known, and may not do this: the same request has the same answer
		// (RFC 9110 §15.5.4). It is often this one's path or content, seldom all of them.
		return ergon.Business("%s", text)
	case a.status == nethttp.StatusRequestTimeout:
		// It waited for the request and gave up. Connections are slow; the next may do.
		return later(timedOut(text))
	case a.status == nethttp.StatusTooEarly, a.status == nethttp.StatusTooManyRequests:
		return later(errors.New(text)) // not now
	case a.status >= 400 && a.status <= 499:
		return ergon.Business("%s", text) // the request is at fault
	case a.status == nethttp.StatusGatewayTimeout:
		return later(timedOut(text))
	case a.status >= 500 && a.status <= 599:
		return later(errors.New(text)) // the receiver is at fault
	}
	// A redirect that is not followed, or a status of which HTTP knows nothing: the
	// address is not the receiver's any more. That is no transaction's fault, and
	// somebody has to look.
	return ergon.System("%s", text)
}

// timedOut is an error of category TIMEOUT, whose text does not say so: what wraps it
// does.
type timedOut string

func (t timedOut) Error() string { return string(t) }
func (t timedOut) Unwrap() error { return ergon.CategoryTimeout }

// unanswered says what the lack of an answer means. ctx is Send's.
func (s *Sink) unanswered(ctx context.Context, at string, err error) error {
	at = s.options.Method + " " + at
	denied, isDenied := errors.AsType[*deniedError](err)
	var network net.Error
	switch {
	case isDenied && s.target.hostFromData:
		return ergon.Business("%s: %w", at, denied) // its own data led there
	case isDenied:
		return ergon.System("%s: %w", at, denied) // a name may mean another address tomorrow
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ergon.Timeout("%s: no answer before the attempt's deadline: %w", at, ctx.Err())
	case ctx.Err() != nil:
		return ergon.System("%s: given up: %w", at, ctx.Err())
	case errors.Is(err, errTimeout):
		return ergon.Timeout("%s: %w: it took longer than %v", at, err, s.options.Timeout)
	case errors.As(err, &network) && network.Timeout():
		return ergon.Timeout("%s: %w", at, err) // of the dial, the handshake, the headers
	}
	// Nobody is there, or the connection broke: what became of the request is unknown,
	// and it is sent again under the same ID.
	return ergon.System("%s: %w", at, err)
}

// excerpt is the start of an answer's body, made printable and without what must not
// be seen, should the receiver have sent it back.
func (s *Sink) excerpt(a sinkReply) string {
	if coding := a.header.Get("Content-Encoding"); coding != "" {
		return ""
	}
	return httpclient.Excerpt(a.start, s.hide)
}
