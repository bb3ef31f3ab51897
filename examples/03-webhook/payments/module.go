package payments

import (
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
)

// Module provides the task "risk".
var Module = fx.Module("payments", app.Tasks(func() app.Task { return app.Consume("risk", Scorer{}) }))
