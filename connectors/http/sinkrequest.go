package http

import (
	"bytes"
	"context"
	"io"
	nethttp "net/http"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/percent"
)

// request makes the request for one transaction. What it can't be made of is BUSINESS.
func (s *Sink) request(ctx context.Context, tx ergon.Raw) (*nethttp.Request, error) {
	f := &fields{tx: tx}
	u, err := s.target.url(f)
	if err != nil {
		return nil, err
	}
	e := tx.Envelope()
	contentType := e.ContentType
	if contentType == "" {
		contentType = jsonType
	}
	if !validValue(contentType) || !isASCII(contentType) {
		return nil, ergon.Business("header Content-Type: %.80q can't be one", contentType)
	}
	body := tx.Payload()
	switch {
	case s.options.Method == nethttp.MethodDelete:
		body, contentType = nil, ""
	case s.options.CloudEvents == CloudEventsStructured:
		contentType = structuredType
		if body, err = structured(e, body); err != nil {
			return nil, err
		}
	}

	const most = 14 // headers of most requests, and what fits a map half as large as the next
	set := newHeaderSet(most)
	set.set("User-Agent", "ergon")
	set.set("Content-Type", contentType)
	set.set("Authorization", s.authorization())
	id := percent.Value(e.ID)
	set.set(idempotencyKey, id)
	set.setTrace(e.Trace)
	if s.options.CloudEvents == CloudEventsBinary {
		set.setEvent(e)
	}
	if s.options.CloudEvents != CloudEventsOff {
		set.addMetadata(e.Metadata)
	}
	if s.signer != nil {
		msgID, timestamp, signature := s.signer.sign(id, s.now(), body)
		set.set(webhookID, msgID)
		set.set(webhookTimestamp, timestamp)
		set.set(webhookSignature, signature)
	}
	for i := range s.headers { // last, so that User-Agent can be another
		h := &s.headers[i]
		if set.h[h.name], err = h.values(f); err != nil {
			return nil, err
		}
	}

	r := s.basics.WithContext(ctx)
	r.URL, r.Host, r.Header = u, u.Host, set.h
	if len(body) == 0 {
		r.Body = nethttp.NoBody
		return r, nil
	}
	r.ContentLength = int64(len(body))
	// With it, a request that met a connection which the server was just closing is
	// sent again on another one at once; the Idempotency-Key allows that.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return r, nil
}
