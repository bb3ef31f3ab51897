package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/app/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// none is an empty environment.
func none(string) (string, bool) { return "", false }

// environment makes one of "NAME=value".
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if n, value, _ := strings.Cut(p, "="); n == name {
				return value, true
			}
		}
		return "", false
	}
}

func parse(t *testing.T, text string, pairs ...string) *config.Config {
	t.Helper()
	c, err := config.Parse("ergon.yaml", []byte(text), environment(pairs...))
	require.NoError(t, err)
	return c
}

// faults is the error's lines without the excerpts.
func faults(t *testing.T, text string, pairs ...string) []string {
	t.Helper()
	c, err := config.Parse("ergon.yaml", []byte(text), environment(pairs...))
	require.Error(t, err)
	require.Nil(t, c)
	var e *config.Error
	require.ErrorAs(t, err, &e)
	out := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		out[i] = strings.TrimPrefix(f.Error(), "ergon.yaml:")
	}
	return out
}
