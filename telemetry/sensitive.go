package telemetry

import (
	"path"
	"strings"

	"github.com/ergon-framework/ergon/engine"
)

// DefaultSensitive are the names of metadata that are hidden where Config.Sensitive is
// not set.
var DefaultSensitive = []string{"authorization", "proxy-authorization", "cookie", "set-cookie", "*token*", "*secret*", "*password*", "*api-key*"}

// Hides returns what reports whether a name's values must not be shown. It may be called
// concurrently.
func (c Config) Hides() func(name string) bool {
	patterns := c.Sensitive
	if patterns == nil {
		patterns = DefaultSensitive
	}
	lower := make([]string, len(patterns))
	for i, p := range patterns {
		lower[i] = plainSlashes(strings.ToLower(p))
	}
	return func(name string) bool {
		name = plainSlashes(strings.ToLower(name))
		for _, p := range lower {
			if ok, err := path.Match(p, name); ok || err != nil {
				return true // one that can't be read hides all rather than nothing
			}
		}
		return false
	}
}

// plainSlashes makes * match across a slash, which means nothing in a name.
func plainSlashes(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

// EventLog returns the options with which engine.LogEvents shows of a transaction's
// contents what the configuration allows: nothing, unless Logs.Payloads is set.
func (c Config) EventLog() []engine.LogOption {
	if !c.Logs.Payloads {
		return nil
	}
	return []engine.LogOption{engine.LogContents(c.Hides())}
}
