package app_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
)

// Regions is a service that tasks use: it has something to open and to close.
type Regions struct{ open bool }

// OpenRegions is its constructor; its parameters would be injected.
func OpenRegions() *Regions { return &Regions{} }

// Start is called before the first task runs.
func (r *Regions) Start(context.Context) error {
	r.open = true
	fmt.Println("regions: started")
	return nil
}

// Stop is called after the last task was drained.
func (r *Regions) Stop(context.Context) error {
	r.open = false
	fmt.Println("regions: stopped")
	return nil
}

// Health is part of /readyz.
func (r *Regions) Health() error { return nil }

// Locate is a task that needs it.
type Locate struct{ regions *Regions }

// Process is never called here: nothing is published.
func (l Locate) Process(context.Context, ergon.Transaction[string]) (ergon.None, error) {
	return ergon.None{}, nil
}

func ExampleService() {
	store, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(store) //nolint:errcheck // of an example
	cfg, err := config.Parse("ergon.yaml", []byte(`
bus: { listen: off, store: `+store+` }
admin: { listen: off }
tasks: { locate: { source: { jetstream: { stream: IN, subjects: [in] } } } }
`), func(string) (string, bool) { return "", false })
	if err != nil {
		panic(err)
	}
	module := fx.Module("retail",
		app.Service(OpenRegions),
		app.Tasks(func(r *Regions) app.Task { return app.Consume("locate", Locate{r}) }),
	)
	// A program is cli.Main(module); this is what becomes of it.
	program := fx.New(module, app.Module, fx.Supply(app.Options{Config: cfg}), fx.NopLogger)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := program.Start(ctx); err != nil {
		panic(err)
	}
	fmt.Println("tasks run")
	if err := program.Stop(ctx); err != nil {
		panic(err)
	}
	// Output:
	// regions: started
	// tasks run
	// regions: stopped
}
