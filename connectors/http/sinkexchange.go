package http

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"time"

	"github.com/ergon-framework/ergon"
)

const (
	// maxHops is how many redirects are followed.
	maxHops = 5
	// maxExcerpt is how much of an answer's body an error keeps, in bytes.
	maxExcerpt = 512
	// maxDrain and drainFor bound what is read of an answer so that its connection can
	// be used again: bytes, and time from its headers on.
	maxDrain = 64 << 10
	drainFor = time.Second
)

// sinkReply is what is kept of a response.
type sinkReply struct {
	status int
	header nethttp.Header
	start  []byte // of the body, unless it is a confirmation
	// unfollowed says why a redirect was not followed, "" if there was none.
	unfollowed string
}

// exchange sends one transaction and waits for the answer.
func (s *Sink) exchange(ctx context.Context, tx ergon.Raw) error {
	if ctx.Err() != nil {
		return s.unanswered(ctx, s.target.shown, context.Cause(ctx))
	}
	within, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, errTimeout)
	defer cancel()
	r, err := s.request(within, tx)
	if err != nil {
		return err
	}
	for hops := 0; ; hops++ {
		response, err := s.transport.RoundTrip(r)
		if err != nil {
			return s.unanswered(ctx, shown(r.URL), err)
		}
		a := read(response, cancel)
		next, why := redirect(r.URL, response)
		switch {
		case next == nil:
		case hops == maxHops:
			next, why = nil, "it redirects again and again"
		case within.Err() != nil && ctx.Err() == nil:
			next, why = nil, "it does not end"
		}
		if next == nil {
			a.unfollowed = why
			return s.classify(r.URL, a)
		}
		again := *r
		again.URL, again.Host = next, next.Host
		if r.GetBody != nil {
			again.Body, _ = r.GetBody() // of bytes: it has no error
		}
		r = &again
	}
}

// redirect is where an answer sends the request on to, nil for nowhere, and why it is
// not followed if it is not. Only what keeps method and body is, and only to the same
// scheme, host and port: so neither payload nor credentials get anywhere else.
func redirect(from *url.URL, r *nethttp.Response) (*url.URL, string) {
	if r.StatusCode < 300 || r.StatusCode > 399 {
		return nil, ""
	}
	location := r.Header.Get("Location")
	to, err := from.Parse(location)
	if err != nil || location == "" {
		return nil, "it leads nowhere"
	}
	to.User = nil
	switch {
	case r.StatusCode != nethttp.StatusTemporaryRedirect && r.StatusCode != nethttp.StatusPermanentRedirect:
		return nil, fmt.Sprintf("it leads to %s, and would make it another request", shown(to))
	case to.Scheme != from.Scheme || to.Host != from.Host:
		return nil, fmt.Sprintf("it leads to %s, which is not where the transaction was to go", shown(to))
	}
	return to, ""
}

// read keeps what is needed of a response, and reads so much of the rest that its
// connection can be used again, unless that takes too long: then cancel ends it. What
// the body of a confirmation says, or whether it is whole, does not matter.
func read(r *nethttp.Response, cancel context.CancelFunc) sinkReply {
	a := sinkReply{status: r.StatusCode, header: r.Header}
	defer func() { _ = r.Body.Close() }()
	if r.ContentLength == 0 {
		return a
	}
	defer time.AfterFunc(drainFor, cancel).Stop()
	if a.status < 200 || a.status > 299 {
		start := make([]byte, maxExcerpt)
		n, _ := io.ReadFull(r.Body, start)
		a.start = start[:n]
	}
	if r.ContentLength <= maxDrain { // or unknown, which is -1
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	}
	return a
}

// shown is a URL for an error: without its query, where keys of APIs stand.
func shown(u *url.URL) string {
	return fmt.Sprintf("%.200s", u.Scheme+"://"+u.Host+u.EscapedPath())
}
