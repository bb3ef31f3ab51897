package transform

import (
	"context"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/ergon-framework/ergon"
)

// Transform is a compiled Spec: a task. It is immutable and may be used
// concurrently.
type Transform struct {
	filter *program
	rules  []rule
	fields []mapped // none: the payload goes on as it is
	route  *program // nil: the only one
	key    *program
	routes []string
}

type rule struct{ when, message *program }

// mapped is a field of what is sent: its name as JSON with its colon, and its value.
type mapped struct {
	name  string
	value *program
}

var _ ergon.Consumer[Payload, ergon.Outputs] = (*Transform)(nil)

// Routes are the routes that the task is bound to.
func (t *Transform) Routes() []string { return slices.Clone(t.routes) }

// Codec is what the task has to be registered with: it reads the payload as
// expressions see it.
func (t *Transform) Codec() ergon.Codec { return codec{keep: len(t.fields) == 0} }

// Process sends at most one output. Its errors are BUSINESS, except the end of
// ctx.
func (t *Transform) Process(ctx context.Context, tx ergon.Transaction[Payload]) (ergon.Outputs, error) {
	vars := &variables{tx: tx}
	if t.filter != nil {
		if on, err := t.filter.boolean(ctx, vars); err != nil || !on {
			return nil, err
		}
	}
	for _, r := range t.rules {
		fails, err := r.when.boolean(ctx, vars)
		if err != nil {
			return nil, err
		}
		if fails {
			message, err := r.message.text(ctx, vars)
			if err != nil {
				return nil, err
			}
			return nil, ergon.Business("%s", message)
		}
	}
	out, err := t.output(ctx, vars)
	if err != nil {
		return nil, err
	}
	if out.Route, err = t.routeOf(ctx, vars); err != nil {
		return nil, err
	}
	if t.key != nil {
		if out.Key, err = t.key.text(ctx, vars); err != nil {
			return nil, err
		}
	}
	return ergon.Outputs{out}, nil
}

func (t *Transform) output(ctx context.Context, vars *variables) (ergon.Output, error) {
	if len(t.fields) == 0 {
		return ergon.Output{Payload: vars.tx.Payload()}, nil
	}
	to := make(encoded, 0, 32*len(t.fields))
	to = append(to, '{')
	for _, f := range t.fields {
		v, err := f.value.eval(ctx, vars)
		if err != nil {
			return ergon.Output{}, err
		}
		if o, ok := v.(*types.Optional); ok {
			if !o.HasValue() {
				continue
			}
			v = o.GetValue()
		}
		if len(to) > 1 {
			to = append(to, ',')
		}
		if to, err = appendValue(append(to, f.name...), v); err != nil {
			return ergon.Output{}, ergon.Business("%s: %w", f.value.name, err)
		}
	}
	return ergon.Output{Payload: append(to, '}')}, nil
}

func (t *Transform) routeOf(ctx context.Context, vars *variables) (string, error) {
	if t.route == nil {
		return t.routes[0], nil
	}
	route, err := t.route.text(ctx, vars)
	if err == nil && !slices.Contains(t.routes, route) {
		return "", ergon.Business("%s: the task has no route %q: it has %s", t.route.name, clip(route), list(t.routes))
	}
	return route, err
}

// variables are a transaction as expressions see it. It belongs to one attempt.
type variables struct {
	tx       ergon.Transaction[Payload]
	metadata map[string]string
}

// ResolveName implements cel.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case varPayload:
		return v.tx.Payload().value, true
	case varMetadata:
		return v.firsts(), true
	case varID:
		return v.tx.ID(), true
	case varSource:
		return v.tx.Source(), true
	case varKey:
		return v.tx.Key(), true
	case varCreatedAt:
		return types.Timestamp{Time: v.tx.CreatedAt()}, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (v *variables) Parent() cel.Activation { return nil }

// firsts is the metadata, of each name the first value.
func (v *variables) firsts() map[string]string {
	if v.metadata == nil {
		m := v.tx.Metadata()
		v.metadata = make(map[string]string, m.Len())
		for name, value := range m.All() {
			if _, is := v.metadata[name]; !is {
				v.metadata[name] = value
			}
		}
	}
	return v.metadata
}
