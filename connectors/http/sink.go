package http

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	nethttp "net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/httpclient"
)

// Sink sends each transaction as one HTTP request. It is safe for concurrent use.
// Make one with NewSink.
//
// A request has the transaction's ID in Idempotency-Key, and its trace in traceparent
// and tracestate. A transaction is sent again, with the same ID, when it is not known
// what became of it, so a receiver that must not act twice holds the key against
// those that it has seen.
//
// An answer of 2xx confirms it, whatever the answer's body says. What cannot be
// reached, does not answer in time, or answers 401, 408, 425, 429, 5xx or with a
// redirect that is not followed fails as SYSTEM or TIMEOUT, to be tried again, after
// Retry-After if the answer has one. Other answers of 4xx are BUSINESS, with the first
// bytes of the answer. A 307 or 308 is followed where scheme, host and port stay the
// same, and no other redirect ever.
type Sink struct {
	compiled
	transport *nethttp.Transport
	blocking  ergon.Sink // bounds the requests that are on their way
	basics    nethttp.Request
	// authorization is a secret; it is kept where no verb of fmt prints it.
	authorization func() string
	hide          func(string) string // takes secrets out of what an error shows
	now           func() time.Time

	gaveUp atomic.Bool              // Close did, and requests went on
	failed atomic.Pointer[failures] // nil once a request has succeeded since
}

var (
	_ ergon.Sink           = (*Sink)(nil)
	_ ergon.AsyncSink      = (*Sink)(nil)
	_ ergon.HealthReporter = (*Sink)(nil)
)

// NewSink makes a sink. It reads the files of the options and connects to nobody. An
// error says all that is wrong with the options, each with its key.
func NewSink(options SinkOptions) (*Sink, error) {
	c, err := options.WithDefaults().compile()
	if err != nil {
		return nil, fmt.Errorf("http sink: %w", err)
	}
	transport, err := newTransport(c)
	if err != nil {
		return nil, fmt.Errorf("http sink: %w", err)
	}
	s := &Sink{
		compiled: c, transport: transport, now: time.Now,
		basics: nethttp.Request{Method: c.options.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1},
	}
	o, authorization := c.options, ""
	switch {
	case o.Bearer != "":
		authorization = "Bearer " + o.Bearer
	case o.User != "":
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Password))
	}
	s.authorization = func() string { return authorization }
	s.hide = httpclient.Hide(append([]string{authorization, strings.TrimPrefix(authorization, "Basic "), o.Bearer, o.Password}, o.SigningSecrets...)...)
	s.blocking = ergon.BlockingSink(s.deliver, c.options.Connections)
	return s, nil
}

// Target is the method and the URL's template, without its query.
func (s *Sink) Target() string { return s.options.Method + " " + s.target.shown }

// String is Target: what the sink holds is not for printing.
func (s *Sink) String() string { return s.Target() }

// GoString is Target.
func (s *Sink) GoString() string { return s.Target() }

// Async says that Send waits for nothing but room; see [ergon.AsyncSink].
func (s *Sink) Async() {}

// Send sends tx, in a goroutine of its own. It waits only while as many requests are
// on their way as there may be, until ctx ends.
func (s *Sink) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	s.blocking.Send(ctx, tx, done)
}

// Close waits for the requests that are on their way, until ctx ends, and closes the
// connections. After a Close that gave up, requests go on to their own ends.
func (s *Sink) Close(ctx context.Context) error {
	err := s.blocking.Close(ctx)
	s.gaveUp.Store(err != nil)
	s.transport.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("close the sink of %s: requests are still on their way: %w", s.target.shown, err)
	}
	return nil
}

// deliver is one request from its making to what its answer means.
func (s *Sink) deliver(ctx context.Context, tx ergon.Raw) error {
	err := s.exchange(ctx, tx)
	s.note(err)
	// Not before: a connection that is idle may be another request's the next moment, which
	// would fail with it.
	if s.gaveUp.Load() {
		s.transport.CloseIdleConnections()
	}
	return err
}

// failures are those in a row that a later request may repair.
type failures struct {
	first, last time.Time
	err         error // the last
}

const (
	// sickAfter is how long nothing may succeed before the sink is unready: one answer
	// of 503 is none of its readiness's business.
	sickAfter = 10 * time.Second
	// sickFor is for how long the latest failure makes it unready: without transactions
	// nobody would ever learn that it works again.
	sickFor = time.Minute
)

// note keeps what the receiver, or the way to it, is to blame for. A transaction that
// is not taken says nothing of the others, and neither does a host that the data names.
func (s *Sink) note(err error) {
	switch {
	case err == nil:
		if s.failed.Load() != nil { // a load is cheaper than a store that all cores see
			s.failed.Store(nil)
		}
	case s.target.hostFromData, ergon.CategoryOf(err) == ergon.CategoryBusiness, errors.Is(err, context.Canceled):
	default:
		f := &failures{first: s.now(), last: s.now(), err: err}
		if before := s.failed.Load(); before != nil && f.last.Sub(before.last) <= sickFor {
			f.first = before.first
		}
		s.failed.Store(f)
	}
}

// Health says what the latest request failed with, for a minute, once none has
// succeeded for ten seconds. Where the host is from data it says nothing: one that is
// away must not keep the others waiting.
func (s *Sink) Health() error {
	f := s.failed.Load()
	if f == nil || s.now().Sub(f.last) > sickFor || f.last.Sub(f.first) < sickAfter {
		return nil
	}
	return fmt.Errorf("for %v nothing was taken: %w", f.last.Sub(f.first).Round(time.Second), f.err)
}
