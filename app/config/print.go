package config

import (
	"fmt"
	"log/slog"
	"strings"
)

// String describes the configuration in one line, without its secrets.
func (c Config) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "app %s on %s", c.App, c.Bus)
	for _, name := range c.TaskNames() {
		fmt.Fprintf(&b, "; task %s", name)
		task := c.Tasks[name]
		if s := task.Source.JetStream; s != nil {
			fmt.Fprintf(&b, " from %s/%s", s.Stream, s.Durable)
		}
		for i, route := range task.RouteNames() {
			sep := ", "
			if i == 0 {
				sep = " to "
			}
			b.WriteString(sep + route)
			if r := task.Routes[route].JetStream; r != nil {
				fmt.Fprintf(&b, "=%s", r.Subject)
			}
		}
	}
	return b.String()
}

// GoString keeps the secrets out of %#v.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// LogValue keeps the secrets out of logs.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("app", c.App),
		slog.Any("bus", c.Bus),
		slog.Any("tasks", c.TaskNames()),
	)
}
