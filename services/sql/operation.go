package sql

import (
	"context"
	"strings"
	"unicode"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon/internal/semconv"
	"github.com/ergon-framework/ergon/services"
)

// Operation is one thing that a service on top of the database does: one statement, or one
// transaction. It is safe for concurrent use.
type Operation struct {
	db *DB
	of *services.Operation
}

// Operation names an operation: "customer" of a service "shop" is "shop.customer" in spans,
// metrics and errors. Of an [services.Idempotent] one what failed is tried again by the
// policy, whether it was done or not. It is called once per operation, where the service
// on top is made; a name that is not one, or was given before, panics.
func (db *DB) Operation(name string, kind services.Kind) *Operation {
	return &Operation{db, db.seam.Operation(name, kind)}
}

// Name is SERVICE.OPERATION.
func (o *Operation) Name() string { return o.of.Name() }

// attempt makes one attempt of the operation, within the seam.
func (o *Operation) attempt(ctx context.Context, query string, do func(context.Context, *pool) error) error {
	p := o.db.pool.Load()
	if p == nil {
		return ErrStopped
	}
	span := trace.SpanFromContext(ctx)
	// The seam made it if it is sampled; else it may be somebody else's.
	if sampled := span.SpanContext().IsSampled(); sampled {
		o.describe(span, query)
	} else {
		span = nil
	}
	err := o.intercepted(ctx, func(ctx context.Context) error { return do(ctx, p) })
	if code := state(err); code != "" && span != nil {
		span.SetAttributes(attribute.String(semconv.AttrDBStatus, code))
	}
	return err
}

func (o *Operation) intercepted(ctx context.Context, do func(context.Context) error) error {
	if f := o.db.around.Load(); f != nil {
		return (*f)(ctx, o.Name(), do)
	}
	return do(ctx)
}

// describe says of a call what OpenTelemetry's conventions have for it, but the query: its
// author may have put values into the text.
func (o *Operation) describe(span trace.Span, query string) {
	span.SetAttributes(attribute.String(semconv.AttrDBSystem, o.db.to.system))
	if o.db.to.namespace != "" {
		span.SetAttributes(attribute.String(semconv.AttrDBNamespace, o.db.to.namespace))
	}
	if verb := verbOf(query); verb != "" {
		span.SetAttributes(attribute.String(semconv.AttrDBOperation, verb))
	}
}

// verbOf is what a statement does, of those that are told by their first word.
func verbOf(query string) string {
	query = strings.TrimSpace(query)
	if end := strings.IndexFunc(query, unicode.IsSpace); end > 0 {
		query = query[:end]
	}
	switch verb := strings.ToUpper(query); verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE":
		return verb
	default:
		return ""
	}
}
