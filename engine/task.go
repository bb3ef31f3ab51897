package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"github.com/ergon-framework/ergon"
)

// Task is a task as the engine runs it: its types are erased once, at
// registration, so the engine has neither type parameters nor reflection on a
// transaction's path. It is immutable; make one with Consume or Produce.
type Task struct {
	name    string
	err     error
	in, out reflect.Type
	routes  []string
	many    bool // Out is ergon.Outputs
	silent  bool // Out is ergon.None
	// producer: its code runs in the produce phase, and an attempt is that code
	// and the sends of what it returned.
	producer bool
	codec    ergon.Codec // that encodes

	run       func(ctx context.Context, tx ergon.Raw) (any, error)
	success   func(ctx context.Context, tx ergon.Raw, result any) error
	exception func(ctx context.Context, tx ergon.Raw, exc *ergon.Error) error
}

// Name is what the task was registered as.
func (t Task) Name() string { return t.name }

// Err says what is wrong with the registration; nil for a task that can run.
// New returns it too.
func (t Task) Err() error { return t.err }

// In is the task's own input type.
func (t Task) In() reflect.Type { return t.in }

// Out is the task's own output type.
func (t Task) Out() reflect.Type { return t.out }

// Routes are the routes that the task declared, sorted; none for a task that
// returns one value, whose one route is whatever it is bound to.
func (t Task) Routes() []string { return slices.Clone(t.routes) }

// Sends reports whether the task sends anything at all: not when its Out is
// ergon.None.
func (t Task) Sends() bool { return !t.silent }

// TaskOption is a choice of the task's author at registration.
type TaskOption func(*registration)

type registration struct {
	routes []string
	codecs []ergon.Codec
}

// Routes declares the routes of a task whose Out is ergon.Outputs. Each must be
// bound to a sink, and no other can be: a route that nobody bound is found at
// start and not by the first transaction that takes it.
func Routes(names ...string) TaskOption {
	return func(r *registration) { r.routes = append(r.routes, names...) }
}

// Codecs replaces the codecs that payloads are decoded and encoded with. The
// first one that accepts a content type decodes; the first of all encodes. The
// default is ergon.JSON. A []byte needs none.
func Codecs(codecs ...ergon.Codec) TaskOption {
	return func(r *registration) { r.codecs = codecs }
}

// taskName is what a name may look like: it becomes part of subjects, durable
// names and metric labels.
var taskName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Producer reports whether the task was registered with Produce.
func (t Task) Producer() bool { return t.producer }

// Consume registers a consumer under a name of lower-case letters, digits, "-"
// and "_". In and Out are inferred. What is wrong with the task is kept in
// Task.Err, so that all faults of a program are reported together.
func Consume[In, Out any](name string, task ergon.Consumer[In, Out], opts ...TaskOption) Task {
	return register(name, task, func(ctx context.Context, tx ergon.Transaction[In]) (Out, error) {
		return task.Process(ctx, tx)
	}, opts)
}

// Produce registers a producer, as Consume does a consumer. It has no process
// phase: an attempt of produce is its code and the sends of what it returned,
// and a retry runs both again.
func Produce[In, Out any](name string, task ergon.Producer[In, Out], opts ...TaskOption) Task {
	t := register(name, task, func(ctx context.Context, tx ergon.Transaction[In]) (Out, error) {
		return task.Produce(ctx, tx)
	}, opts)
	t.producer = true
	return t
}

func register[In, Out any](name string, task any, run func(context.Context, ergon.Transaction[In]) (Out, error), opts []TaskOption) Task {
	r := registration{codecs: []ergon.Codec{ergon.JSON}}
	for _, opt := range opts {
		opt(&r)
	}
	t := Task{name: name, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	t.many = t.out == reflect.TypeFor[ergon.Outputs]()
	t.silent = t.out == reflect.TypeFor[ergon.None]()
	t.routes = slices.Compact(slices.Sorted(slices.Values(r.routes)))
	t.err = t.check(task, r, map[string]reflect.Type{
		"HandleSuccess":   reflect.TypeFor[func(context.Context, ergon.Transaction[In], Out) error](),
		"HandleException": reflect.TypeFor[func(context.Context, ergon.Transaction[In], *ergon.Error) error](),
	})
	if t.err != nil {
		return t
	}
	decode := decoder[In](r.codecs)
	t.run = func(ctx context.Context, raw ergon.Raw) (any, error) {
		tx, err := decode(raw)
		if err != nil {
			return nil, err
		}
		return run(ctx, tx)
	}
	if h, ok := task.(ergon.SuccessHandler[In, Out]); ok {
		t.success = func(ctx context.Context, raw ergon.Raw, result any) error {
			tx, err := decode(raw)
			if err != nil {
				return err
			}
			out, _ := result.(Out) // a nil interface stays the zero Out
			return h.HandleSuccess(ctx, tx, out)
		}
	}
	if h, ok := task.(ergon.ExceptionHandler[In]); ok {
		t.exception = func(ctx context.Context, raw ergon.Raw, exc *ergon.Error) error {
			tx, err := decode(raw)
			if err != nil {
				// Undecodable bytes have no payload: the hook gets the zero one,
				// and exc says why.
				var zero In
				tx = ergon.With(raw, zero)
			}
			return h.HandleException(ctx, tx, exc)
		}
	}
	t.codec = r.codecs[0]
	return t
}

// check finds what would otherwise show at the first transaction, or never: a
// hook with a wrong signature would simply not be called.
func (t Task) check(task any, r registration, hooks map[string]reflect.Type) error {
	var faults []error
	fault := func(format string, a ...any) {
		faults = append(faults, fmt.Errorf("task %q: "+format, append([]any{t.name}, a...)...))
	}
	if !taskName.MatchString(t.name) {
		fault("a name is 1 to 64 lower-case letters, digits, - and _, beginning with a letter or digit")
	}
	if v := reflect.ValueOf(task); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		fault("it is nil: pass the task itself")
		return errors.Join(faults...)
	}
	typ := reflect.TypeOf(task)
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		if got, ok := methodOf(task, name); ok && got != hooks[name] {
			fault("%v.%s has the signature %v and would never be called: make it %v", typ, name, got, hooks[name])
		} else if !ok && pointerMethod(typ, name) {
			fault("%v.%s has a pointer receiver and would never be called: register &%s{…}", typ, name, typ.Name())
		}
	}
	switch {
	case t.many && len(t.routes) == 0:
		fault("it returns ergon.Outputs and declares no routes: add engine.Routes(…) to its registration")
	case !t.many && len(t.routes) > 0 && t.silent:
		fault("it sends nothing (its Out is ergon.None) and declares routes %q: remove them", t.routes)
	case !t.many && len(t.routes) > 1:
		fault("it returns one value and declares %d routes: return ergon.Outputs to choose among them", len(t.routes))
	}
	if slices.Contains(t.routes, "") {
		fault("a route has no name")
	}
	if len(r.codecs) == 0 || slices.Contains(r.codecs, nil) {
		fault("a codec is missing: pass at least one, and no nil")
	}
	return errors.Join(faults...)
}

// methodOf returns a method's type without its receiver.
func methodOf(task any, name string) (reflect.Type, bool) {
	m := reflect.ValueOf(task).MethodByName(name)
	if !m.IsValid() {
		return nil, false
	}
	return m.Type(), true
}

// pointerMethod reports whether only a pointer to typ has the method.
func pointerMethod(typ reflect.Type, name string) bool {
	if typ.Kind() == reflect.Pointer {
		return false
	}
	_, ok := reflect.PointerTo(typ).MethodByName(name)
	return ok
}
