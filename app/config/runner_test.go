package config_test

import (
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/policy"
)

func TestRunner(t *testing.T) {
	require.Equal(t, config.DefaultRunner(), parse(t, "app: x").Runner)
	require.Equal(t, config.DefaultRunner(), parse(t, "runner: {}").Runner)
	c := parse(t, "runner: { restarts: 0, backoff: 10ms, backoff_cap: 2s, watchdog: 0s }")
	require.Equal(t, config.Runner{Backoff: policy.Duration(10 * time.Millisecond), BackoffCap: policy.Duration(2 * time.Second)}, c.Runner)

	for text, want := range map[string][]string{
		"runner: { restarts: -1 }":              {`1:21: runner.restarts: -1 is not between 0 and 1000`},
		"runner: { backoff: 1m }":               {`runner.backoff_cap: 30s is below the backoff, 1m, of which it is the most`},
		"runner: { watchdog: -1s }":             {`1:21: runner.watchdog: "-1s" is negative: a duration is zero or more`},
		"runner: { backof: 1s }":                {`1:11: runner.backof: unknown key "backof", did you mean "backoff"?`},
		"runner: {backoff: 0s,backoff_cap: 0s}": {`1:19: runner.backoff: 0s would start a task that fails again without a pause: give it some time, or set restarts to 0`},
	} {
		got := faults(t, text)
		require.Len(t, got, len(want), text)
		for i := range want {
			require.Contains(t, got[i], want[i], text)
		}
	}
}

// What is 0 is a word of its own, and comes back from what is printed.
func TestRunnerPrintsWhole(t *testing.T) {
	c := parse(t, "runner: { restarts: 0, watchdog: 0s }")
	text, err := yaml.Marshal(*c)
	require.NoError(t, err)
	require.Equal(t, c.Runner, parse(t, string(text)).Runner, string(text))
}

// The waits double, up to the cap, and however often it failed.
func TestRunnerDelay(t *testing.T) {
	r := config.DefaultRunner()
	var all []time.Duration
	for n := range 8 {
		all = append(all, r.Delay(n+1))
	}
	const s = time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s, 30 * s}, all)
	require.Equal(t, 30*s, r.Delay(1_000_000))
	require.Zero(t, config.Runner{}.Delay(1000))
}
