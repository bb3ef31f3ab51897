package config

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
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
		if h := task.Source.HTTP; h != nil {
			fmt.Fprintf(&b, " by http (%s)", h.Mode)
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
			if o := task.Routes[route].HTTP; o != nil {
				fmt.Fprintf(&b, "=%s", o)
			}
		}
	}
	return b.String()
}

// GoString keeps the secrets out of %#v.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// Format keeps the secrets out of every verb of package fmt.
func (c Config) Format(f fmt.State, verb rune) {
	text := c.String()
	if verb == 'v' && f.Flag('#') {
		text = c.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// LogValue keeps the secrets out of logs.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("app", c.App),
		slog.Any("bus", c.Bus),
		slog.Any("services", c.ServiceNames()),
		slog.Any("tasks", c.TaskNames()),
	)
}

// Redacted is b without its secrets.
func (b Bus) Redacted() Bus {
	b.Config = b.Config.Redacted()
	return b
}

// MarshalJSON writes the bus without its secrets.
func (b Bus) MarshalJSON() ([]byte, error) {
	document, err := yaml.Marshal(b)
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSON(document)
}

// MarshalYAML writes the bus without its secrets.
func (b Bus) MarshalYAML() (any, error) { return encode(reflect.ValueOf(b.Redacted())), nil }

// Format keeps the secrets out of every verb of package fmt.
func (b Bus) Format(f fmt.State, verb rune) {
	text := b.String()
	if verb == 'v' && f.Flag('#') {
		text = b.GoString()
	}
	_, _ = io.WriteString(f, text)
}

// String describes the bus without its secrets.
func (b Bus) String() string {
	s := b.Config.String()
	if b.Store != "" {
		s += " store=" + b.Store
	}
	if b.IsEmbedded() {
		s += " listen=" + b.Listen
	}
	return s
}

// GoString keeps the secrets out of %#v.
func (b Bus) GoString() string { return "config.Bus{" + b.String() + "}" }

// LogValue keeps the secrets out of logs.
func (b Bus) LogValue() slog.Value { return slog.StringValue(b.String()) }
