package engine

import (
	"context"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/identity"
)

// Place is where in a trace an event happened: in the attempt that it tells of, or
// else in its transaction. The zero value is nowhere.
//
// It is what a logger needs to relate the event's line to a trace, without the engine
// knowing a tracing API.
type Place struct {
	tracing Tracing
	span    SpanID
}

// Context returns a context that answers for a tracing API's current span, and for
// nothing else. It is to be logged with: it never ends, and belongs to no call.
func (p Place) Context() context.Context {
	if p.tracing == nil {
		return context.Background()
	}
	return placed{context.Background(), p}
}

// traced reports whether Context answers for a span.
func (p Place) traced() bool { return p.tracing != nil }

type placed struct {
	context.Context
	at Place
}

func (c placed) Value(key any) any { return c.at.tracing.Value(key, c.at.span) }

// here is the attempt that runs, or ended last.
func (f *flight) here() Place { return Place{f.tracing, f.span} }

// whole is the transaction.
func (f *flight) whole() Place { return Place{tracing: f.tracing} }

// wholeFor is whole for somebody else than the flight's goroutine.
func (f *flight) wholeFor() Place {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.whole()
}

// traceID is the trace of a transaction that nobody traces: the one that it came
// with, or the one that its outputs begin.
func traceID(tx ergon.Raw) string {
	if id := identity.TraceID(tx.Trace().Parent); id != "" {
		return id
	}
	return identity.TraceID(identity.TraceParent(tx.Source(), tx.ID()))
}
