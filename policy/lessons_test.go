package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
)

// A fault of a second, or of a minute, spends no message's attempts: the default
// waits grow, are spread, and outlast it (docs/reference/lessons.md).
func TestLesson08DefaultRetriesOutlastABlip(t *testing.T) {
	r := policy.DefaultConsumer().Process.Retry
	require.Greater(t, r.BackoffMultiplier, 1.0)
	require.Positive(t, r.Jitter)
	var all time.Duration
	for n := 1; n < r.MaxAttempts; n++ {
		all += r.Delay(n)
		require.GreaterOrEqual(t, r.Delay(n+1), r.Delay(n))
	}
	require.GreaterOrEqual(t, all, time.Minute)
}
