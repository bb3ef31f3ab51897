package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// Every key that holds one value has a variable and can be given by --set, and both
// arrive: as the value's origin, or, where the rest of the file does not allow it, as the
// place of a fault of that key, or of those beside it. A new key without them has to be added to the list.
func TestEveryKeyHasAVariableAndAFlag(t *testing.T) {
	const tasks = "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, producer: { loop: { concurrency: 2 } } } }"
	var none []string
	groups := map[string]int{}
	for _, k := range config.Keys() {
		if k.Variable == "" {
			none = append(none, k.Path)
			continue
		}
		path := strings.Replace(k.Path, "*", "t", 1)
		text := tasks
		for kind, service := range map[string]string{"kv": "bucket: B", "http": `url: "https://h"`, "sql": `url: "sqlite:f"`, "llm": `url: "https://h", model: m`} {
			if strings.HasPrefix(path, "services.t."+kind+".") || kind == "kv" && strings.HasPrefix(path, "services.t.policy.") {
				text += "\nservices: { t: { " + kind + ": { " + service + " } } }"
			}
		}
		if strings.HasPrefix(path, "tasks.t.source.http.") {
			text = strings.Replace(tasks, "source: {", `source: { http: { routes: [{ path: "/in" }], records: { bucket: B } },`, 1)
		}
		value := map[string]string{
			"text": "~/x", "true or false": "true", "whole number": "3", "number": "0.75", "duration": "3s",
		}[k.Type]
		if len(k.Words) > 0 {
			value = k.Words[len(k.Words)-1]
		}
		require.NotEmpty(t, value, "%s is of type %s", path, k.Type)
		variable := strings.NewReplacer("<TASK>", "T", "<SERVICE>", "T").Replace(k.Variable)
		arrives(t, text, path, "$"+variable, config.Inputs{Env: world(variable + "=" + value)})
		flag := config.Inputs{Flags: []config.Flag{{Name: "--set", Path: path, Value: value}}}
		if k.Secret { // of which TestFlags says what is refused
			require.Contains(t, strings.Join(wrong(t, text, flag), "\n"), path+": a command line can be read by others")
		} else {
			arrives(t, text, path, "--set", flag)
		}
		group, _, _ := strings.Cut(path, ".")
		groups[group]++
	}
	for _, group := range []string{"app", "bus", "runner", "admin", "http", "telemetry", "dead_letters", "parking", "tasks", "services"} {
		require.NotZero(t, groups[group], group)
	}
	for _, path := range none {
		require.Regexp(t, `^streams\.\*\.|^tasks\.\*\.(routes\.\*\.|transform\.|source\.http\.routes\.|source\.jetstream\.subjects$|(consumer|producer)\.fetch\.extra$)|^services\.\*\.http\.headers$|^telemetry\.(sensitive|resource|otlp\.headers)$`, path)
	}
}

// arrives holds that a value of that origin was read into a key.
func arrives(t *testing.T, text, path, from string, in config.Inputs) {
	t.Helper()
	r, err := config.Resolve("ergon.yaml", []byte(text), in)
	if err != nil {
		var faults *config.Error
		require.ErrorAs(t, err, &faults)
		for _, f := range faults.Faults {
			require.True(t, strings.HasPrefix(f.Path, path[:max(strings.LastIndexByte(path, '.'), 0)]) || strings.HasPrefix(path, f.Path), "%s: %s", path, f)
			require.Contains(t, f.Error(), from, path)
			require.NotContains(t, f.Error(), "unknown", path)
		}
		return
	}
	for _, v := range r.Values() {
		if v.Path == path {
			require.Equal(t, from, v.Origin.String(), path)
			return
		}
	}
	require.Fail(t, "it did not arrive", "%s: %s", from, path)
}
