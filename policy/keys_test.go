package policy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
)

func TestKeys(t *testing.T) {
	require.Equal(t, []string{"loop", "fetch", "transaction", "process", "produce", "success", "exception", "shutdown"}, policy.ConsumerKeys(""))
	require.Equal(t, []string{"retry", "bulkhead", "breaker", "rate_limit"}, policy.ConsumerKeys("process"))
	require.Equal(t, []string{"max_attempts", "timeout", "backoff", "backoff_multiplier", "backoff_cap", "jitter"}, policy.ConsumerKeys("fetch.retry"))
	for _, path := range []string{"fetch.extra", "fetch.retry.timeout", "loop.mode", "nowhere", "process.", ".process", "fetch.extra.a"} {
		require.Nil(t, policy.ConsumerKeys(path), path)
	}
	// R084: a producer has neither streaming nor an empty fetch.
	require.Equal(t, []string{"loop", "batch", "fetch", "transaction", "produce", "success", "exception", "shutdown"}, policy.ProducerKeys(""))
	require.NotContains(t, policy.ProducerKeys("loop"), "streaming")
	require.NotContains(t, policy.ProducerKeys("fetch"), "empty")
}

func TestNearest(t *testing.T) {
	keys := policy.ConsumerKeys("process.retry")
	for key, want := range map[string]string{
		"max_attemps": "max_attempts", "maxAttempts": "max_attempts", "max-attempts": "max_attempts",
		"attempts": "max_attempts", "MAX_ATTEMPTS": "max_attempts", "time_out": "timeout", "tiemout": "timeout",
		"backof": "backoff", "cap": "backoff_cap", "multiplier": "backoff_multiplier", "jiter": "jitter",
		"concurrency": "", "x": "", "": "", strings.Repeat("max_attempts", 9): "",
	} {
		require.Equal(t, want, policy.Nearest(key, keys), key)
	}
	require.Empty(t, policy.Nearest("key", nil))
	require.Empty(t, policy.Nearest("ab", []string{"xy"}), "no letter is right")
	require.Equal(t, "ab", policy.Nearest("aa", []string{"ab", "ac"}), "the first of equals")
}

// Decision l: an unknown key is an error that names what was probably meant.
func TestUnknownKey(t *testing.T) {
	for path, want := range map[string]string{
		"process.retry.max_attemps": `process.retry.max_attemps: unknown key "max_attemps", did you mean "max_attempts"?`,
		"proces":                    `proces: unknown key "proces", did you mean "process"?`,
		"process.max_attempts":      `process.max_attempts: unknown key "max_attempts", did you mean "retry.max_attempts"?`,
		"concurrency":               `concurrency: unknown key "concurrency", did you mean "loop.concurrency"?`,
		"timeout":                   `timeout: unknown key "timeout", the keys here are loop, fetch, transaction, process, produce, success, exception, shutdown`,
		"shutdown.xyzzy":            `shutdown.xyzzy: unknown key "xyzzy", the keys here are grace`,
		"nowhere.retry":             `nowhere.retry: unknown key "retry"`,
	} {
		require.EqualError(t, policy.UnknownConsumerKey(path), want)
	}
	require.EqualError(t, policy.UnknownProducerKey("size"), `size: unknown key "size", did you mean "batch.size"?`)
	require.EqualError(t, policy.UnknownProducerKey("loop.streaming"),
		`loop.streaming: unknown key "streaming", the keys here are mode, concurrency, window, prefetch, limit, timeout`)
}
