package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/services"
)

// What a service may have. All of it is optional, and at least one is needed: what has
// none is as well provided with fx.Provide.
type (
	starter interface {
		Start(ctx context.Context) error
	}
	stopper interface {
		Stop(ctx context.Context) error
	}
	healthy interface{ Health() error }
	seamed  interface{ Seam() *services.Seam }
)

// serviceMethods are those by name.
var serviceMethods = map[string]reflect.Type{
	"Start": reflect.TypeFor[func(context.Context) error](), "Stop": reflect.TypeFor[func(context.Context) error](),
	"Health": reflect.TypeFor[func() error](), "Seam": reflect.TypeFor[func() *services.Seam](),
}

const serviceGroup = `group:"ergon.services"`

// service is one that was made.
type service struct {
	name  string
	value any
	seam  *services.Seam // nil for none
}

// Service provides what a constructor returns to the application's tasks and services,
// as fx.Provide does, and gives it a life of its own:
//
//	app.Service(regions.Open) // func(Config) (*regions.Client, error)
//
//	func (c *Client) Start(ctx context.Context) error
//	func (c *Client) Stop(ctx context.Context) error
//	func (c *Client) Health() error
//
// Each of the three methods is optional, as is a fourth, Seam() *services.Seam: the
// service's calls are shown in the metrics then, and an open breaker is as an error of
// Health is. Services start in the order of their
// dependencies, before the first task; when one fails to start, those that were started
// are stopped again and the application ends. They stop in reverse, after the last task
// and after the bus was closed, each within ServiceStopTime. Health is asked often, by
// whoever asks /readyz or /status, so it returns what it knows; an error makes the
// process unready, and nothing else.
//
// The constructor is a function with one result, or one and an error; its parameters are
// injected. A service is made also if no task needs it. Its name, in errors and in
// /readyz, is that of its type: regions.Client.
func Service(constructor any) fx.Option { return NamedService("", constructor) }

// NamedService is Service under a name: of two of one type that two fx.Modules keep
// private, say.
func NamedService(name string, constructor any) fx.Option {
	of, err := serviceType(constructor)
	if err != nil {
		return fx.Error(err)
	}
	if name == "" {
		name = strings.TrimLeft(of.String(), "*")
	}
	who := madeBy(name, constructor)
	return named(name, who, of, guarded(who, constructor), true)
}

// named provides a service; who describes its constructor, and needy says that it has to
// have a method of its own.
func named(name, who string, of reflect.Type, constructor any, needy bool) fx.Option {
	check := reflect.MakeFunc(
		reflect.FuncOf([]reflect.Type{of}, []reflect.Type{reflect.TypeFor[service](), reflect.TypeFor[error]()}, false),
		func(args []reflect.Value) []reflect.Value {
			s := service{name: name, value: args[0].Interface()}
			err := s.check(needy)
			return []reflect.Value{reflect.ValueOf(s), errorValue(err)}
		}).Interface()
	// The container tells by its name whose dependencies are missing. See explained.
	made := fmt.Sprintf("name:%q", who)
	return fx.Options(
		fx.Provide(fx.Annotate(constructor, fx.ResultTags(made))),
		fx.Provide(fx.Annotate(lived(name, of), fx.ParamTags(made, "", `optional:"true"`))),
		fx.Provide(fx.Annotate(check, fx.ResultTags(serviceGroup))),
	)
}

// serviceType is what a constructor makes.
func serviceType(constructor any) (reflect.Type, error) {
	t := reflect.TypeOf(constructor)
	isError := func(t reflect.Type) bool { return t == reflect.TypeFor[error]() }
	if t == nil || t.Kind() != reflect.Func || t.NumOut() < 1 || t.NumOut() > 2 || isError(t.Out(0)) || t.NumOut() == 2 && !isError(t.Out(1)) {
		return nil, fmt.Errorf("app.Service(%T): it takes a constructor, a function with one result, or one and an error", constructor)
	}
	return t.Out(0), nil
}

func errorValue(err error) reflect.Value {
	v := reflect.New(reflect.TypeFor[error]()).Elem()
	if err != nil {
		v.Set(reflect.ValueOf(err))
	}
	return v
}

// check finds methods that look as if they would be called, and would not be.
func (s *service) check(needy bool) error {
	v, found := reflect.ValueOf(s.value), false
	if !v.IsValid() {
		return fmt.Errorf("service %s: its constructor returned nil", s.name)
	}
	for _, name := range []string{"Start", "Stop", "Health", "Seam"} {
		m := v.MethodByName(name)
		if !m.IsValid() {
			continue
		}
		if found = true; m.Type() != serviceMethods[name] {
			return fmt.Errorf("service %s: %T.%s has the signature %s and would never be called: make it %s, or give it another name",
				s.name, s.value, name, m.Type(), serviceMethods[name])
		}
	}
	if !found && needy {
		return fmt.Errorf("service %s: %T has none of Start(context.Context) error, Stop(context.Context) error, Health() error and Seam() *services.Seam: provide it with fx.Provide",
			s.name, s.value)
	}
	if of, ok := s.value.(seamed); ok {
		s.seam = of.Seam()
	}
	return nil
}

func sortServices(all []service) {
	slices.SortFunc(all, func(a, b service) int { return strings.Compare(a.name, b.name) })
}

// checkServices asks those that say how they are.
func checkServices(all []service) []engine.Check {
	checks := make([]engine.Check, len(all))
	for i, s := range all {
		checks[i] = engine.Check{Part: s.name, Err: s.health()}
	}
	return checks
}

// health is what the service says of itself, and what its seam says of the breaker: once,
// for a service's Health may ask the seam too.
func (s service) health() (err error) {
	defer ergon.Recover(&err)
	if of, ok := s.value.(healthy); ok {
		err = of.Health()
	}
	if s.seam == nil {
		return err
	}
	if !errors.Is(err, services.ErrOpen) {
		err = errors.Join(err, s.seam.Health())
	}
	if err == nil {
		return nil
	}
	// Whose it is, the check says.
	return errors.New(strings.ReplaceAll(err.Error(), fmt.Sprintf("service %q: ", s.seam.Name()), ""))
}

// seamFaults are seams that could not be told apart.
func seamFaults(all []service) (faults []error) {
	seen := map[string]string{}
	for _, s := range all {
		if s.seam == nil {
			continue
		}
		name := s.seam.Name()
		if other, twice := seen[name]; twice {
			faults = append(faults, fmt.Errorf("services %s and %s: both are called %q by their seams, and their metrics could not be told apart: give one of them another name", other, s.name, name))
		}
		seen[name] = s.name
	}
	return faults
}
