package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

var (
	errNoOptions = errors.New("there is no configuration to open the bus by: supply app.Options")
	errBusClosed = errors.New("the bus is closed: the application has ended")
)

// Configured is [NamedService] of what stands under services.NAME of the configuration:
//
//	app.Configured("regions", kv.New[Region]) // func(services.Setup[spec.KV], kv.Bus, ...kv.Option) (*kv.Store[Region], error)
//
// The constructor's first parameter is a services.Setup of spec.KV, spec.HTTP, spec.SQL
// or spec.LLM, which says what kind the configuration must be of; it is filled in with the
// name, the keys and the policy, Options.Logger, and the meters of Options.Telemetry, which
// the command line gives a run. Whatever else it takes is injected, the *[Bus] among it; it
// returns the service, or the service and an error. Two services of one type are told apart
// by types of their own: a struct that embeds it has its methods.
//
// The service is provided under its type and lives as one of app.Service does, but that it
// may have no method at all. If it has Seam() *services.Seam, /readyz and /status show its
// breaker too, and /metrics its calls. Where the configuration has no such service, making
// it fails with a *WiringError that says what to write; so does a run where the
// configuration has one that no module asks for. A test puts another in its place with
// fx.Replace or fx.Decorate, and needs no configuration of it then.
func Configured(name string, constructor any) fx.Option {
	of, err := serviceType(constructor)
	var kind serviceKind
	if err == nil {
		kind, err = kindOf(reflect.TypeOf(constructor))
	}
	if err != nil {
		return fx.Error(fmt.Errorf("app.Configured(%q): %w", name, err))
	}
	t := reflect.TypeOf(constructor)
	in := []reflect.Type{reflect.TypeFor[*setups]()}
	for i := 1; i < t.NumIn(); i++ {
		in = append(in, orBus(t.In(i)))
	}
	who := madeBy(name, constructor)
	guard := reflect.ValueOf(guarded(who, constructor))
	out := []reflect.Type{of, reflect.TypeFor[error]()}
	made := reflect.MakeFunc(reflect.FuncOf(in, out, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		setup, err := args[0].Interface().(*setups).of(name, kind)
		if err != nil {
			return []reflect.Value{reflect.Zero(of), errorValue(err)}
		}
		args = append([]reflect.Value{setup}, args[1:]...)
		if t.IsVariadic() {
			return guard.CallSlice(args)
		}
		return guard.Call(args)
	})
	return fx.Options(
		fx.Supply(fx.Annotate(wanting{name, kind.key}, fx.ResultTags(wantingGroup))),
		named(name, who, of, made.Interface(), false),
	)
}

const wantingGroup = `group:"ergon.services.configured"`

// wanting is a service that a module wants of the configuration.
type wanting struct{ name, kind string }

// serviceKind is what a services.Setup of one kind is made of.
type serviceKind struct {
	key   string
	setup reflect.Type
	make  func(*setups, string, spec.Service) any
}

var serviceKinds = []serviceKind{
	kindFor("kv", func(s spec.Service) *spec.KV { return s.KV }),
	kindFor("http", func(s spec.Service) *spec.HTTP { return s.HTTP }),
	kindFor("sql", func(s spec.Service) *spec.SQL { return s.SQL }),
	kindFor("llm", func(s spec.Service) *spec.LLM { return s.LLM }),
}

func kindFor[C any](key string, config func(spec.Service) *C) serviceKind {
	return serviceKind{key, reflect.TypeFor[services.Setup[C]](), func(s *setups, name string, c spec.Service) any {
		return services.Setup[C]{Name: name, Config: *config(c), Policy: c.Policy, Logger: s.log, Meters: s.meters}
	}}
}

func kindOf(constructor reflect.Type) (serviceKind, error) {
	if constructor.NumIn() > 0 {
		for _, k := range serviceKinds {
			if k.setup == constructor.In(0) {
				return k, nil
			}
		}
	}
	return serviceKind{}, fmt.Errorf("%s: its first parameter has to be a services.Setup of spec.KV, spec.HTTP, spec.SQL or spec.LLM", constructor)
}

// orBus is *Bus for an interface that is to be filled with it: a service names what it
// needs of a bus by an interface of its own, and knows no application.
func orBus(t reflect.Type) reflect.Type {
	bus := reflect.TypeFor[*Bus]()
	if t.Kind() != reflect.Interface || !bus.Implements(t) {
		return t
	}
	if _, ok := t.MethodByName("JetStream"); !ok {
		return t
	}
	return bus
}

// setups are the parts of the configuration that services are made of.
type setups struct {
	opts   Options
	config *config.Config // nil where there is none
	wanted []wanting
	log    *slog.Logger
	meters metric.MeterProvider
}

type setupsIn struct {
	fx.In
	Options Options   `optional:"true"`
	Wanted  []wanting `group:"ergon.services.configured"`
}

func newSetups(in setupsIn) *setups {
	s := &setups{opts: in.Options, config: in.Options.Config, wanted: in.Wanted, log: in.Options.Logger}
	if t := in.Options.Telemetry; t != nil {
		s.meters = t.MeterProvider()
	}
	slices.SortFunc(s.wanted, func(a, b wanting) int { return strings.Compare(a.name, b.name) })
	return s
}

// of is the setup of a service. The error has all that is wrong with any.
func (s *setups) of(name string, kind serviceKind) (reflect.Value, error) {
	if s.config != nil {
		if c, ok := s.config.Services[name]; ok && c.Kind() == kind.key {
			return reflect.ValueOf(kind.make(s, name, c)), nil
		}
	}
	return reflect.Value{}, &WiringError{append(s.missing(), s.faults()...)}
}

// missing are the faults of services that a module wants.
func (s *setups) missing() (faults []error) {
	var has map[string]spec.Service
	if s.config != nil {
		has = s.config.Services
	}
	spare := slices.Sorted(maps.Keys(has))
	for _, w := range s.wanted {
		spare = slices.DeleteFunc(spare, func(name string) bool { return name == w.name })
	}
	for _, w := range s.wanted {
		switch c, ok := has[w.name]; {
		case !ok:
			faults = append(faults, fmt.Errorf("service %q: a module needs it, and it has no configuration: add services.%s.%s to the configuration%s",
				w.name, w.name, w.kind, nearest(w.name, spare)))
		case c.Kind() != w.kind:
			faults = append(faults, fmt.Errorf("service %q: a module needs it to be %s, and the configuration says %s: write services.%s.%s",
				w.name, w.kind, orNone(c.Kind()), w.name, w.kind))
		}
	}
	return faults
}

// faults are those of a run: services that no module wants, or two of them.
func (s *setups) faults() (faults []error) {
	var names []string
	for i, w := range s.wanted {
		if i > 0 && s.wanted[i-1].name == w.name {
			faults = append(faults, fmt.Errorf("service %q: two modules make it: give one of them another name", w.name))
			continue
		}
		names = append(names, w.name)
	}
	if s.config == nil {
		return faults
	}
	for _, name := range s.config.ServiceNames() {
		if !slices.Contains(names, name) {
			faults = append(faults, fmt.Errorf("service %q: it is configured, and no module asks for it with app.Configured; this program has %s%s",
				name, list(names), nearest(name, names)))
		}
	}
	return faults
}

func orNone(kind string) string {
	if kind == "" {
		return "nothing"
	}
	return kind
}
