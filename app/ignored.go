package app

import (
	"reflect"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/policy"
)

// Advice says what a configuration gives tasks that they do not go by: the policy of a
// producer where a task consumes, or that of a consumer where it produces. Origin is left
// empty.
func (r Registered) Advice(cfg *config.Config) []config.Warning {
	all, _ := r.With(cfg) // its faults are Check's to tell
	var out []config.Warning
	for _, t := range all {
		c, ok := cfg.Tasks[t.Name()]
		if !ok {
			continue
		}
		does, reads, ignores, given := "consumes", "consumer", "producer", !reflect.DeepEqual(c.Producer, policy.DefaultProducer())
		if t.Producer() {
			does, reads, ignores, given = "produces", "producer", "consumer", !reflect.DeepEqual(c.Consumer, policy.DefaultConsumer())
		}
		if given {
			out = append(out, config.Warning{
				Path:    "tasks." + t.Name() + "." + ignores,
				Message: "the task " + does + ", so its policy is that under " + reads + ", and this one is ignored",
				Advice:  "move it to " + reads + ", or remove it",
			})
		}
	}
	return out
}
