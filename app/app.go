// Package app wires Ergon with fx: it takes the tasks that fx modules provide
// and a configuration, opens the bus, makes sources, sinks and engines, and runs
// them.
//
// A user's module provides its services and its tasks:
//
//	var Module = fx.Module("retail",
//		fx.Provide(regions.New), // or app.Service, if it has something to open and to close
//		app.Configured("rates", newRates), // what services.rates of ergon.yaml says
//		app.Tasks(func(r regions.Lookup) app.Task { return app.Consume("score", &Scorer{r}) }),
//	)
//
// and a program is one line around it: cli.Main(retail.Module). Who builds the
// fx.App without the command line adds [Module] and supplies [Options].
package app

import (
	"context"
	"time"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// Task is a registered task. Make one with Consume or Produce and hand it to Tasks.
type Task = engine.Task

// Consume registers a consumer under a name; In and Out are inferred. See
// engine.Consume.
func Consume[In, Out any](name string, task ergon.Consumer[In, Out], opts ...engine.TaskOption) Task {
	return engine.Consume(name, task, opts...)
}

// Produce registers a producer under a name. See engine.Produce.
func Produce[In, Out any](name string, task ergon.Producer[In, Out], opts ...engine.TaskOption) Task {
	return engine.Produce(name, task, opts...)
}

// Routes declares the routes of a task that returns ergon.Outputs.
func Routes(names ...string) engine.TaskOption { return engine.Routes(names...) }

// Tasks provides tasks to the application. Each constructor is a function whose
// parameters are injected and whose result is a Task, or a Task and an error.
// It is called once, after everything it needs was made and before anything
// runs.
func Tasks(constructors ...any) fx.Option {
	opts := make([]fx.Option, len(constructors))
	for i, c := range constructors {
		// Not fx.Annotate: its functions are none of the user's, and an error would name them.
		opts[i] = fx.Provide(fx.Annotated{Group: "ergon.tasks", Target: c})
	}
	return fx.Options(opts...)
}

// Registered are the tasks that an application's modules provide, sorted by
// name.
type Registered []Task

type tasksIn struct {
	fx.In
	Tasks []Task `group:"ergon.tasks"`
}

// Registry provides Registered and what services stand on, the *[Bus] among it: for a
// command that only looks. Where [Configured] services are to be made, it needs Options in
// the graph.
var Registry = fx.Module("ergon.registry", fx.Provide(func(in tasksIn) Registered { return sorted(in.Tasks) }, newBus, newSetups))

// Module provides a *Runner and starts and stops it with the application. It
// needs Options in the graph. When every task has ended by itself, or one has
// failed for good, the application is shut down, with the exit code of Runner.ExitCode.
var Module = fx.Module("ergon",
	Registry,
	fx.Provide(NewRunner),
	fx.Invoke(func(lc fx.Lifecycle, sd fx.Shutdowner, r *Runner) {
		lc.Append(fx.Hook{
			OnStart: func(ctx context.Context) error {
				starting, cancel := startWithin(ctx)
				defer cancel()
				if err := r.Start(starting); err != nil {
					return err
				}
				go func() {
					<-r.Done()
					_ = sd.Shutdown(fx.ExitCode(r.ExitCode())) // fails only when it is shut down already
				}()
				return nil
			},
			OnStop: r.Stop,
		})
	}),
)

// startWithin ends before ctx does, if ctx ends at all: fx takes back what was started
// only in the time of the start itself, and leaves a hook alone that does not return.
func startWithin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(end)
	return context.WithDeadline(ctx, end.Add(-min(startReserve, left/4)))
}
