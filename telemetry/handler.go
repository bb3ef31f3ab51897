package telemetry

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/trace"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/identity"
)

// NewHandler returns a handler that adds to each record where it was logged, from the
// context that it was logged with: in an attempt of a transaction transaction, source,
// task, phase, attempt and trace_id, and where there is a span span_id as well. A record
// that was logged elsewhere, or without a context, stays as it is.
//
// What it adds stands at the top, also of a logger with a group: it belongs to the
// record and not to the group. inner sees such a group as an attribute of the record,
// which every handler writes alike.
func NewHandler(inner slog.Handler) slog.Handler {
	if h, ok := inner.(*handler); ok && h.spans {
		return h // twice would be each attribute twice
	}
	return &handler{top: inner, full: inner, spans: true}
}

// Handler returns NewHandler's, whose records go to the log receiver as well if logs
// are on: those that inner takes, at its levels. There the trace is the record's own,
// where the receiver looks for it.
func (t *Telemetry) Handler(inner slog.Handler) slog.Handler {
	correlated := NewHandler(inner)
	if t.logs == nil {
		return correlated
	}
	bridge := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.logs))
	return slog.NewMultiHandler(correlated, &handler{top: asWanted{bridge, inner}, full: asWanted{bridge, inner}})
}

// asWanted is a handler of what another one wants: the bridge would want everything.
type asWanted struct {
	slog.Handler
	by slog.Handler
}

func (h asWanted) Enabled(ctx context.Context, l slog.Level) bool { return h.by.Enabled(ctx, l) }

func (h asWanted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asWanted{h.Handler.WithAttrs(attrs), h.by}
}

func (h asWanted) WithGroup(name string) slog.Handler {
	return asWanted{h.Handler.WithGroup(name), h.by}
}

// handler adds correlation.
type handler struct {
	top    slog.Handler // with what stands outside of groups
	full   slog.Handler // with everything, for a record that nothing is added to
	groups []group      // open, from the outermost
	spans  bool         // adds trace_id and span_id
}

type group struct {
	name  string
	attrs []slog.Attr
}

// Enabled is inner's.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.full.Enabled(ctx, l) }

// Handle adds what the context knows.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	var space [7]slog.Attr
	attrs := h.where(ctx, space[:0])
	if len(attrs) == 0 {
		return h.full.Handle(ctx, r)
	}
	if len(h.groups) == 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
		return h.full.Handle(ctx, r)
	}
	nested := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	nested.AddAttrs(h.nest(r))
	nested.AddAttrs(attrs...)
	return h.top.Handle(ctx, nested)
}

// where is what the context knows.
func (h *handler) where(ctx context.Context, attrs []slog.Attr) []slog.Attr {
	if x, ok := ctx.Value(ergon.ExecutionKey{}).(*ergon.Execution); ok && x.TransactionID != "" {
		attrs = append(attrs,
			slog.String("transaction", x.TransactionID), slog.String("source", x.Source), slog.String("task", x.Task),
			slog.String("phase", string(x.Phase)), slog.Int("attempt", x.Attempt))
	}
	if !h.spans {
		return attrs
	}
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		return append(attrs, slog.String("trace_id", s.TraceID().String()), slog.String("span_id", s.SpanID().String()))
	}
	if len(attrs) == 0 {
		return attrs
	}
	// Nobody traces it: its trace is the one that it came with, or that its outputs begin.
	x := ergon.ExecutionOf(ctx)
	id := identity.TraceID(x.TraceParent)
	if id == "" {
		id = identity.TraceID(identity.TraceParent(x.Source, x.TransactionID))
	}
	return append(attrs, slog.String("trace_id", id))
}

// nest puts a record's attributes into the open groups.
func (h *handler) nest(r slog.Record) slog.Attr {
	last := len(h.groups) - 1
	attrs := slices.Grow(slices.Clone(h.groups[last].attrs), r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	nested := slog.GroupAttrs(h.groups[last].name, attrs...)
	for _, g := range slices.Backward(h.groups[:last]) {
		nested = slog.GroupAttrs(g.name, append(slices.Clone(g.attrs), nested)...)
	}
	return nested
}

// WithAttrs adds to the innermost group.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	n := *h
	n.full = h.full.WithAttrs(attrs)
	if len(h.groups) == 0 {
		n.top = n.full
		return &n
	}
	n.groups = slices.Clone(h.groups)
	innermost := &n.groups[len(n.groups)-1]
	innermost.attrs = append(slices.Clip(innermost.attrs), attrs...)
	return &n
}

// WithGroup opens a group.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	n := *h
	n.full = h.full.WithGroup(name)
	n.groups = append(slices.Clip(h.groups), group{name: name})
	return &n
}
