package config_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// The recipes are what they say: valid, without advice to do otherwise, and each says
// something that is not the default.
func TestPolicyRecipes(t *testing.T) {
	text, err := os.ReadFile("../../docs/how-to/tune-policies.md")
	require.NoError(t, err)
	recipes := regexp.MustCompile("(?ms)^\\*\\*([^\n*]+)\\.\\*\\*(?:[^`]|`[^`\n]+`)*?```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	require.Len(t, recipes, 7)
	for _, m := range recipes {
		r, err := config.Resolve(m[1], []byte(m[2]), config.Inputs{})
		require.NoError(t, err)
		require.Empty(t, r.Warnings(), m[1])
		said := 0
		for _, v := range r.Values() {
			if !v.Origin.IsDefault() {
				said++
			}
		}
		require.Greater(t, said, 4, "%s: it changes nothing beside source and route", m[1])
	}
	for _, m := range regexp.MustCompile("`(ergon_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		require.Contains(t, metricNames(t), m[1])
	}
}

// metricNames are those of the reference, as Prometheus has them.
func metricNames(t *testing.T) (out []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/telemetry.md")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("`(ergon_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}
