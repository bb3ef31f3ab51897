package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	otelsem "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/identity"
)

// TracerConfig is what a Tracer is made of.
type TracerConfig struct {
	// Processor gets the spans; its maker shuts it down. Required.
	Processor sdktrace.SpanProcessor
	// Resource is whose spans they are. Default: the SDK's.
	Resource *resource.Resource
	// Sampler decides which transactions are told of though they do well.
	Sampler Sampler
	// Provider makes the spans that others begin below an attempt's. Default: none are
	// made.
	Provider trace.TracerProvider
	// View is of the source, if there is only one; see Tracer.With.
	View
}

// View is what the spans of one source's transactions say of it.
type View struct {
	// Link makes a transaction begin a trace of its own, with a link to the one that
	// it came with, instead of continuing that. It is for sources on which one sender's
	// trace would grow without end.
	Link bool
	// System is what the transport is called (messaging.system), Destination where the
	// transactions lie there (messaging.destination.name), and Group who shares them
	// (messaging.consumer.group.name). What is empty is not told.
	System, Destination, Group string
}

// attributes of what comes from the source, and of what is sent: it may go elsewhere,
// but over the same system.
func (v View) attributes() (where, system []attribute.KeyValue) {
	if v.System != "" {
		system = append(system, otelsem.MessagingSystemKey.String(v.System))
	}
	system = slices.Clip(system) // others append to it
	where = append(where, system...)
	if v.Destination != "" {
		where = append(where, otelsem.MessagingDestinationName(v.Destination))
	}
	if v.Group != "" {
		where = append(where, otelsem.MessagingConsumerGroupName(v.Group))
	}
	return where, system
}

// Tracer makes spans of transactions. It may be used by many engines at once.
type Tracer struct {
	cfg  TracerConfig
	otel trace.Tracer
	key  any // under which OpenTelemetry keeps the current span in a context
	// policies are the attributes of those that transactions ran under, each made once.
	policies *sync.Map
	// Of spans that receive, and of those that send.
	where, system []attribute.KeyValue
}

var _ engine.Tracer = (*Tracer)(nil)

// scope names who made a span.
const scope = "github.com/ergon-framework/ergon"

// NewTracer returns a tracer.
func NewTracer(cfg TracerConfig) *Tracer {
	options := []sdktrace.TracerProviderOption{
		// What is to be sampled was decided before a span is made.
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithIDGenerator(presetIDs{}),
		sdktrace.WithSpanProcessor(cfg.Processor),
	}
	if cfg.Resource != nil {
		options = append(options, sdktrace.WithResource(cfg.Resource))
	}
	where, system := cfg.attributes()
	return &Tracer{where: where, system: system, cfg: cfg, otel: sdktrace.NewTracerProvider(options...).Tracer(scope), key: spanKey(), policies: &sync.Map{}}
}

// With returns a tracer for one source, of the same spans' receiver and sampler.
func (t *Tracer) With(v View) *Tracer {
	if t == nil {
		return nil
	}
	of := *t
	of.cfg.View = v
	of.policies = &sync.Map{}
	of.where, of.system = v.attributes()
	return &of
}

// spanKey finds the key by asking for the span of a context that listens. With it a
// context can answer for its span when it is asked, and need not be wrapped, at two
// allocations, for every transaction that nobody asks.
func spanKey() any {
	p := &probe{Context: context.Background()}
	trace.SpanFromContext(p)
	return p.key
}

type probe struct {
	context.Context
	key any
}

func (p *probe) Value(key any) any { p.key = key; return nil }

// Begin decides on a transaction's trace. One that came without has an ID that is a
// hash of its identity, so that all its deliveries share a trace.
func (t *Tracer) Begin(tx ergon.Raw, _ ergon.DeliveryInfo) engine.Tracing {
	if t == nil { // in an interface, where nobody sees it
		return nil
	}
	b := &tracing{t: t}
	b.parent, b.parentSampled = parse(tx.Trace().Parent, &b.trace, &b.parentSpan)
	if b.parent && t.cfg.Link {
		b.linked = b.trace
	}
	b.tx, b.state = tx, tx.Trace().State
	if !b.parent || t.cfg.Link {
		b.trace, b.own = [16]byte{}, true
	}
	if !b.own || t.cfg.Sampler.bound > 0 { // otherwise nobody may ever ask for it
		b.sampled = t.cfg.Sampler.sampled(b.id(), !b.own, b.parentSampled)
	}
	b.root = newSpanID()
	return b
}

// parse reads a traceparent that the connector has checked, or none.
func parse(parent string, id *[16]byte, span *[8]byte) (ok, sampled bool) {
	if !identity.ValidTraceParent(parent) {
		return false, false
	}
	_, _ = hex.Decode(id[:], []byte(parent[3:35])) // of hexadecimal digits, as was checked
	_, _ = hex.Decode(span[:], []byte(parent[36:52]))
	var flags [1]byte
	_, _ = hex.Decode(flags[:], []byte(parent[53:55]))
	return true, flags[0]&1 == 1
}

func newSpanID() (id engine.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // zero is no ID
	return id
}

// tracing is one delivery's trace.
type tracing struct {
	t          *Tracer
	tx         ergon.Raw
	state      string
	hashing    sync.Once
	trace      [16]byte // see id
	linked     [16]byte // the trace that is linked to
	parentSpan [8]byte
	root       engine.SpanID

	own, parent, parentSampled, sampled bool
}

// id is the trace's ID: that of the trace which the transaction continues, or a hash of
// its identity, which is made when it is asked for.
func (b *tracing) id() [16]byte {
	if b.own {
		b.hashing.Do(func() { b.trace = identity.TraceIDOf(b.tx.Source(), b.tx.ID()) })
	}
	return b.trace
}

// Sampled is what was decided.
func (b *tracing) Sampled() bool { return b.sampled }

// NewSpan returns a random ID.
func (b *tracing) NewSpan() engine.SpanID { return newSpanID() }

// Trace continues with the transaction's span as the parent.
func (b *tracing) Trace() ergon.Trace {
	var s [55]byte
	id := b.id()
	copy(s[:], "00-")
	hex.Encode(s[3:35], id[:])
	s[35] = '-'
	hex.Encode(s[36:52], b.root[:])
	copy(s[52:], "-00")
	if b.sampled {
		s[54] = '1'
	}
	return ergon.Trace{Parent: string(s[:]), State: b.state}
}

// Value answers with the current span: one that is not recording, for spans are made
// afterwards. Those that are started below it have the right parent.
func (b *tracing) Value(key any, span engine.SpanID) any {
	if key != b.t.key {
		return nil
	}
	if span == (engine.SpanID{}) {
		span = b.root
	}
	return current{trace.SpanFromContext(trace.ContextWithSpanContext(context.Background(), b.context(span))), b.t.cfg.Provider}
}

// current is a span that is told of later. It knows who makes spans, so that whoever
// finds it in a context can make some below it and needs to be given nothing.
type current struct {
	trace.Span
	provider trace.TracerProvider
}

// TracerProvider is the one of [Telemetry.TracerProvider].
func (c current) TracerProvider() trace.TracerProvider {
	if c.provider == nil {
		return c.Span.TracerProvider()
	}
	return c.provider
}

func (b *tracing) context(span [8]byte) trace.SpanContext {
	state, err := trace.ParseTraceState(b.state)
	if err != nil {
		state = trace.TraceState{} // W3C: what can't be read is dropped
	}
	var flags trace.TraceFlags
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: b.id(), SpanID: span, TraceFlags: flags.WithSampled(b.sampled), TraceState: state,
	})
}
