package enrich

import (
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/services/kv"
)

// Module provides the task "enrich" and the services that it asks, each made of what stands
// under its name in ergon.yaml. The task takes interfaces, the module knows who is behind
// them.
var Module = fx.Module("enrich",
	app.Configured("regions", kv.New[Region]),
	app.Configured("customers", NewCustomerTable),
	app.Configured("categories", NewClassifier),
	app.Service(NewReference),
	app.Tasks(func(r *kv.Store[Region], c *CustomerTable, m *Classifier) app.Task {
		return app.Consume("enrich", &Enricher{Regions: r, Customers: c, Categories: m})
	}),
)
