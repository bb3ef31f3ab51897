package ergon

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Transaction is one immutable unit of work with a payload of type P. It is a
// small value: pass it by value, share it freely, read it concurrently. Its
// zero value is not valid; the payload must not be changed in place (RFC-001
// §5.3). Work on it makes a new transaction with an ID of its own.
type Transaction[P any] struct {
	env     *Envelope
	payload P
}

// Raw is a transaction whose payload is still encoded. Connectors speak Raw;
// only the engine encodes and decodes.
type Raw = Transaction[[]byte]

// Envelope is all that a transaction carries beside its payload. Connectors and
// the engine build transactions from it with [Make]; everyone else uses [New].
type Envelope struct {
	// ID names the transaction, together with Source. It is stable over
	// retries, redeliveries and hops. Required.
	ID string
	// Source is where the ID was given: a stream, an application's task, an
	// endpoint (CloudEvents source).
	Source string
	// Type is what kind of event this is. For a task's output it is the route
	// (CloudEvents type).
	Type string
	// CausationID is the ID of the transaction that caused this one, "" for a
	// root (RFC-001 parent_id).
	CausationID string
	// CorrelationID names the business flow, "" means that the transaction's
	// own ID does.
	CorrelationID string
	// CreatedAt is when the transaction was made, in UTC.
	CreatedAt time.Time
	// ContentType is the media type of the encoded payload, "" means JSON.
	ContentType string
	// Key orders transactions among each other, "" means no order.
	Key string
	// Metadata holds the transaction's further facts.
	Metadata Metadata
	// Trace is the distributed trace that this transaction continues.
	Trace Trace
}

// Trace carries W3C trace context as it stands on the wire.
type Trace struct {
	Parent  string // traceparent
	State   string // tracestate
	Baggage string // baggage, only where an allow-list lets it through
}

// Make builds a transaction from an envelope. It is the connectors' and the
// engine's constructor. The envelope is copied.
func Make[P any](e Envelope, payload P) Transaction[P] {
	return Transaction[P]{env: &e, payload: payload}
}

// With returns a transaction with the envelope of tx and another payload. It is
// how a Raw becomes typed and back; the identity stays.
func With[P, Q any](tx Transaction[P], payload Q) Transaction[Q] {
	return Transaction[Q]{env: tx.env, payload: payload}
}

// ID is stable over retries, redeliveries and hops; unique together with
// Source.
func (t Transaction[P]) ID() string { return t.envelope().ID }

// Source is where the ID was given.
func (t Transaction[P]) Source() string { return t.envelope().Source }

// Type is the CloudEvents type; the route, for a task's output.
func (t Transaction[P]) Type() string { return t.envelope().Type }

// CausationID is the ID of the transaction that caused this one, "" for a root.
func (t Transaction[P]) CausationID() string { return t.envelope().CausationID }

// CorrelationID names the business flow that this transaction belongs to. A
// root that was given none begins a flow under its own ID.
func (t Transaction[P]) CorrelationID() string {
	if e := t.envelope(); e.CorrelationID != "" {
		return e.CorrelationID
	}
	return t.envelope().ID
}

// CreatedAt is when the transaction was made, in UTC.
func (t Transaction[P]) CreatedAt() time.Time { return t.envelope().CreatedAt }

// ContentType is the media type of the encoded payload, "" means JSON.
func (t Transaction[P]) ContentType() string { return t.envelope().ContentType }

// Key orders transactions among each other; "" means no order.
func (t Transaction[P]) Key() string { return t.envelope().Key }

// Metadata is the transaction's read-only metadata.
func (t Transaction[P]) Metadata() Metadata { return t.envelope().Metadata }

// Trace is the distributed trace that this transaction continues.
func (t Transaction[P]) Trace() Trace { return t.envelope().Trace }

// Payload is the transaction's content. What it refers to must not be changed.
func (t Transaction[P]) Payload() P { return t.payload }

// Valid reports whether the transaction has an identity; the zero value has
// none.
func (t Transaction[P]) Valid() bool { return t.envelope().ID != "" }

// Envelope returns a copy of all that the transaction carries beside its
// payload.
func (t Transaction[P]) Envelope() Envelope { return *t.envelope() }

func (t Transaction[P]) envelope() *Envelope {
	if t.env == nil {
		return &Envelope{}
	}
	return t.env
}

// Option sets one field of a transaction made with [New].
type Option func(*Envelope)

// WithID gives the transaction an ID of the caller's, which must be unique
// within the source. An empty one is ignored.
func WithID(id string) Option {
	return func(e *Envelope) {
		if id != "" {
			e.ID = id
		}
	}
}

// WithSource says where the ID was given.
func WithSource(source string) Option { return func(e *Envelope) { e.Source = source } }

// WithType sets the CloudEvents type.
func WithType(typ string) Option { return func(e *Envelope) { e.Type = typ } }

// WithKey sets the ordering key.
func WithKey(key string) Option { return func(e *Envelope) { e.Key = key } }

// WithCorrelationID puts the transaction into a business flow.
func WithCorrelationID(id string) Option { return func(e *Envelope) { e.CorrelationID = id } }

// WithCausationID names the transaction that caused this one.
func WithCausationID(id string) Option { return func(e *Envelope) { e.CausationID = id } }

// WithContentType sets the media type of the payload once it is encoded.
func WithContentType(contentType string) Option {
	return func(e *Envelope) { e.ContentType = contentType }
}

// WithMetadata adds one value to the metadata.
func WithMetadata(name, value string) Option {
	return func(e *Envelope) { e.Metadata = e.Metadata.with(name, value) }
}

// WithCreatedAt sets the time of creation.
func WithCreatedAt(at time.Time) Option { return func(e *Envelope) { e.CreatedAt = at.UTC() } }

// WithTrace makes the transaction continue a trace.
func WithTrace(trace Trace) Option { return func(e *Envelope) { e.Trace = trace } }

// New makes a root transaction: a UUIDv7 as ID and the time now, unless options
// say otherwise. A task that wants a new ID takes [NewID], which is the same
// again on its next attempt.
func New[P any](payload P, opts ...Option) Transaction[P] {
	now := time.Now().UTC()
	e := Envelope{ID: uuid7(now), CreatedAt: now}
	for _, opt := range opts {
		opt(&e)
	}
	return Make(e, payload)
}

// uuid7 is a version 7 UUID (RFC 9562 §5.7): IDs made later sort later.
func uuid7(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // never fails: crypto/rand ends the process rather than return an error
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	return formatUUID(b, 7)
}

// formatUUID sets version and variant and renders the canonical form.
func formatUUID(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:], b[0:4])
	s[8] = '-'
	hex.Encode(s[9:], b[4:6])
	s[13] = '-'
	hex.Encode(s[14:], b[6:8])
	s[18] = '-'
	hex.Encode(s[19:], b[8:10])
	s[23] = '-'
	hex.Encode(s[24:], b[10:])
	return string(s[:])
}
