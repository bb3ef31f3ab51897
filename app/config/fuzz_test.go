package config_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// Whatever the file: no panic; an error says where, on lines that exist; and what
// is accepted is valid by every rule.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		example, scoring, "", "{}", "app: ${A}", "bus: { password: \"x ${B:-y}\", foo: 1 }", "a: |\n  ${A}\nb: >-\n  c\n", "tasks: { t: { source: { jetstream: { stream: S } } } }",
		"x: &a { <<: *a, b: [1, ~, 'y', 0x1f, 1e3] }\n", "streams: { A: { subjects: [a.*, '*.b'] } }\n", "\ttab", "? [x]\n: y", "%YAML 1.2\n---\n", "- - - x", "app: \"\\u00e9\"\r\nbus:\r\n",
		"dead_letters: { stream: D, subject: d }\nstreams: { D: { subjects: [d.>], max_age: 1h } }\n", "tasks:\n  a: &t\n    source: { jetstream: { stream: S, subjects: [s] } }\n  b: *t\n",
	} {
		f.Add([]byte(text))
	}
	env := environment("A=x", "B=8", "C=")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("f", data, env)
		if err != nil {
			require.Nil(t, c)
			var e *config.Error
			require.ErrorAs(t, err, &e)
			require.NotEmpty(t, e.Faults)
			lines := strings.Count(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n") + strings.Count(string(data), "\r") + 1
			for _, fault := range e.Faults {
				require.NotEmpty(t, fault.Message)
				require.LessOrEqual(t, fault.Line, lines)
				require.Equal(t, fault.Line > 0, fault.Column > 0)
				require.True(t, utf8.ValidString(fault.Error()+fault.Excerpt), "%q", err)
				require.NotContains(t, fault.Error(), "\n")
				require.NotContains(t, fault.Error()+fault.Excerpt, "\x1b")
			}
			return
		}
		require.NoError(t, c.Validate())
		for name, task := range c.Tasks {
			require.NotNil(t, task.Source.JetStream)
			require.NotEmpty(t, task.Source.JetStream.Durable)
			require.NotEmpty(t, task.DeadLetters.Stream)
			require.NoError(t, task.Consumer.Validate())
			require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,63}$`, name)
		}
		for name, stream := range c.Streams {
			require.Equal(t, name, stream.Name)
		}
		topology := c.Topology()
		for i, s := range topology {
			require.NotEmpty(t, s.Subjects)
			require.True(t, i == 0 || topology[i-1].Name < s.Name)
		}
		streams := append(topology, c.DeadLetterStreams()...)
		for _, task := range c.Tasks {
			for _, route := range task.Routes {
				require.True(t, slices.ContainsFunc(streams, func(s bus.Stream) bool { return s.Name == route.JetStream.Stream }))
			}
		}
		checkRoundTrip(t, c)
	})
}
