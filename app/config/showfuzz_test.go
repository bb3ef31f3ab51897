package config_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

func quoted(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

// Whatever is accepted is shown as a file that is accepted, and that says the same.
func FuzzShow(f *testing.F) {
	for _, text := range []string{
		example, "", shownFile, twoTasks, "app: 'on'\nbus: { name: \"a: b #c\", store: \"~\", listen: \"off\" }",
		"streams: { \"x y\": { subjects: [\"a\"], description: \"\\u2028 \\\" é\" } }", "telemetry: { sensitive: [], resource: { \"null\": 1, \"a.b\": \"${A}\" } }",
		"bus: { url: \"nats://h\", domain: x, tls_first: true, ca: '1' }", "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { fetch: { extra: { a: [1, { b: \"$${X}\" }] } } } } }",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := config.Resolve("f", data, config.Inputs{Env: config.Environment{Lookup: environment("A=x")}})
		if err != nil {
			return
		}
		_ = r.Warnings()
		text := r.YAML(false)
		again, err := config.Resolve("g", []byte(text), config.Inputs{})
		require.NoError(t, err, "%s\n%s", data, text)
		was, is := r.Values(), again.Values()
		require.Len(t, is, len(was))
		for i := range was {
			require.Equal(t, was[i].Path, is[i].Path)
			require.Equal(t, quoted(t, was[i].Value), quoted(t, is[i].Value), was[i].Path)
		}
	})
}
