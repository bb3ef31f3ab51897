package retail

import (
	_ "embed"
	"encoding/json"

	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/examples/02-retail/regions"
)

// Module provides the task "score", the service it needs, and a demo of it.
var Module = fx.Module("retail",
	fx.Provide(regions.New),
	app.Tasks(func(r regions.Lookup) app.Task {
		return app.Consume("score", &Scorer{Regions: r}, app.Routes(RouteScored, RouteCancelled))
	}),
	fx.Supply(&app.Demo{
		Config:   Config,
		Subject:  "retail.lines",
		Generate: generateJSON,
		Counts:   map[string]string{"succeeded": "retail.scored", "cancelled": "retail.cancelled"},
	}),
)

// Config is the example's ergon.yaml: a copy, for embedding reaches no further up.
// A test keeps the two equal.
//
//go:embed demo.yaml
var Config []byte

func generateJSON(n int) []byte {
	data, err := json.Marshal(Generate(n))
	if err != nil {
		panic(err) // eight strings marshal
	}
	return data
}
