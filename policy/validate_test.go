package policy_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
)

// R089 and R068 to R084: one mistake is one fault, with its path and its rule.
func TestConsumerFaults(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		change func(*policy.Consumer)
		want   string
	}{
		{func(c *policy.Consumer) { c.Loop.Mode = "" }, `loop.mode: "" is not a mode: the modes are "continuous" and "batch"`},
		{func(c *policy.Consumer) { c.Loop.Mode = "stream" }, `loop.mode: "stream" is not a mode: the modes are "continuous" and "batch"`},
		{func(c *policy.Consumer) { c.Loop.Mode = "Batch" }, `loop.mode: "Batch" is to be "batch"`},
		{func(c *policy.Consumer) { c.Loop.Concurrency = 0 }, `loop.concurrency: 0 is below 1`}, // R076
		{func(c *policy.Consumer) { c.Loop.Concurrency = 1_000_001 }, `loop.concurrency: 1000001 is above 1000000`},
		{func(c *policy.Consumer) { c.Loop.Window = 0 }, `loop.window: 0 is below 1`},
		{func(c *policy.Consumer) { c.Loop.Window = 255 }, `loop.window: 255 is below loop.concurrency, 256`},
		{func(c *policy.Consumer) { c.Loop.Prefetch = -1 }, `loop.prefetch: -1 is below 0`},
		{func(c *policy.Consumer) { c.Loop.Prefetch = 257 }, `loop.prefetch: 257 is above loop.concurrency, 256`},
		{func(c *policy.Consumer) { c.Loop.Limit = -1 }, `loop.limit: -1 is below 0`}, // R080
		{func(c *policy.Consumer) { c.Loop.Timeout = -1 }, `loop.timeout: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Fetch.Retry.MaxAttempts = 0 }, `fetch.retry.max_attempts: 0 is below 1`},
		{func(c *policy.Consumer) { c.Fetch.Batch.Size = 0 }, `fetch.batch.size: 0 is below 1`}, // R077
		{func(c *policy.Consumer) { c.Fetch.Empty.Backoff = 0 }, `fetch.empty.backoff: 0s is below 1ms: a streaming loop would ask an empty source without rest`},
		{func(c *policy.Consumer) { c.Fetch.Empty.BackoffCap = 1 }, `fetch.empty.backoff_cap: 1ns is below 1ms: a streaming loop would ask an empty source without rest`},
		{func(c *policy.Consumer) { c.Fetch.Empty.BackoffMultiplier = 0.5 }, `fetch.empty.backoff_multiplier: 0.5 is below 1`},
		{func(c *policy.Consumer) { c.Fetch.Breaker.Failures = -1 }, `fetch.breaker.failures: -1 is below 0`},
		{func(c *policy.Consumer) { c.Fetch.Extra = map[string]any{"a": map[string]any{"f": func() {}}} }, `fetch.extra.a.f: func() is not data: use text, numbers, booleans, lists and maps by text`}, // R068
		{func(c *policy.Consumer) { c.Fetch.Extra = map[string]any{"l": []any{1, &nan}} }, `fetch.extra.l[1]: *float64 is not data: use text, numbers, booleans, lists and maps by text`},
		{func(c *policy.Consumer) { c.Fetch.Extra = map[string]any{"n": float32(inf)} }, `fetch.extra.n: +Inf is not a finite number`},
		{func(c *policy.Consumer) { c.Transaction.Timeout = -1 }, `transaction.timeout: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Transaction.MaxDeliveries = -1 }, `transaction.max_deliveries: -1 is below 0`},
		{func(c *policy.Consumer) { c.Transaction.RedeliverOver = -1 }, `transaction.redeliver_over: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Transaction.StuckAfter = -1 }, `transaction.stuck_after: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Process.Retry.MaxAttempts = 0 }, `process.retry.max_attempts: 0 is below 1`}, // R072
		{func(c *policy.Consumer) { c.Process.Retry.MaxAttempts = math.MaxInt }, fmt.Sprintf(`process.retry.max_attempts: %d is above 1000000`, math.MaxInt)},
		{func(c *policy.Consumer) { c.Process.Retry.Timeout = -1 }, `process.retry.timeout: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Process.Retry.Backoff = -1 }, `process.retry.backoff: -1ns is negative: a duration is zero or more`}, // R074
		{func(c *policy.Consumer) { c.Process.Retry.BackoffMultiplier = 0.5 }, `process.retry.backoff_multiplier: 0.5 is below 1`},
		{func(c *policy.Consumer) { c.Process.Retry.BackoffMultiplier = nan }, `process.retry.backoff_multiplier: NaN is not a finite number`},
		{func(c *policy.Consumer) { c.Process.Retry.BackoffMultiplier = inf }, `process.retry.backoff_multiplier: +Inf is not a finite number`},
		{func(c *policy.Consumer) { c.Process.Retry.BackoffCap = -1 }, `process.retry.backoff_cap: -1ns is negative: a duration is zero or more`},
		{func(c *policy.Consumer) { c.Process.Retry.Jitter = -0.1 }, `process.retry.jitter: -0.1 is below 0`},
		{func(c *policy.Consumer) { c.Process.Retry.Jitter = 1.5 }, `process.retry.jitter: 1.5 is above 1`},
		{func(c *policy.Consumer) { c.Process.Retry.Jitter = nan }, `process.retry.jitter: NaN is not a finite number`},
		{func(c *policy.Consumer) { c.Process.Bulkhead.MaxConcurrency = -1 }, `process.bulkhead.max_concurrency: -1 is below 0`},
		{func(c *policy.Consumer) { c.Process.Bulkhead.MaxConcurrency = 257 }, `process.bulkhead.max_concurrency: 257 is above loop.concurrency, 256`},
		{func(c *policy.Consumer) { c.Produce.Bulkhead.MaxConcurrency = 1025 }, `produce.bulkhead.max_concurrency: 1025 is above loop.window, 1024`},
		{func(c *policy.Consumer) { c.Success.Bulkhead.MaxConcurrency = 257 }, `success.bulkhead.max_concurrency: 257 is above loop.concurrency, 256`},
		{func(c *policy.Consumer) { c.Exception.Bulkhead.MaxConcurrency = 257 }, `exception.bulkhead.max_concurrency: 257 is above loop.concurrency, 256`},
		{func(c *policy.Consumer) {
			c.Process.Breaker = policy.Breaker{Failures: 5, Executions: 4, Delay: 1, Successes: 1}
		}, `process.breaker.executions: 4 is below failures, 5: it could never open`},
		{func(c *policy.Consumer) { c.Process.Breaker = policy.Breaker{Failures: 5, Successes: 1} }, `process.breaker.delay: 0s would close the breaker as soon as it opens`},
		{func(c *policy.Consumer) { c.Process.Breaker = policy.Breaker{Failures: 5, Delay: 1} }, `process.breaker.successes: 0 is below 1`},
		{func(c *policy.Consumer) { c.Process.RateLimit.Limit = -1 }, `process.rate_limit.limit: -1 is below 0`},
		{func(c *policy.Consumer) { c.Process.RateLimit = policy.RateLimit{Limit: 1} }, `process.rate_limit.per: 0s is no period to count a limit in`},
		{func(c *policy.Consumer) { c.Process.RateLimit = policy.RateLimit{Limit: 11, Per: 10} }, `process.rate_limit.limit: 11 is above one per nanosecond in 10ns`},
		{func(c *policy.Consumer) { c.Shutdown.Grace = -1 }, `shutdown.grace: -1ns is negative: a duration is zero or more`},
	} {
		t.Run(tt.want, func(t *testing.T) {
			c := policy.DefaultConsumer()
			tt.change(&c)
			require.EqualError(t, c.Validate(), tt.want)
		})
	}
}

func TestWhatIsLegal(t *testing.T) {
	for name, change := range map[string]func(*policy.Consumer){
		"cap below backoff (R075)":          func(c *policy.Consumer) { c.Process.Retry.BackoffCap = 1 },
		"no cap (R074)":                     func(c *policy.Consumer) { c.Process.Retry.BackoffCap = 0 },
		"no backoff (R074)":                 func(c *policy.Consumer) { c.Process.Retry.Backoff = 0 },
		"no attempt timeout (R073)":         func(c *policy.Consumer) { c.Process.Retry.Timeout = 0 },
		"one attempt (R072)":                func(c *policy.Consumer) { c.Process.Retry.MaxAttempts = 1 },
		"attempt over transaction":          func(c *policy.Consumer) { c.Transaction.Timeout = 1 },
		"no rest when not streaming (R078)": func(c *policy.Consumer) { c.Loop.Streaming, c.Fetch.Empty.Backoff = false, 0 },
		"full jitter":                       func(c *policy.Consumer) { c.Process.Retry.Jitter = 1 },
		"huge limit":                        func(c *policy.Consumer) { c.Loop.Limit = math.MaxInt64 },
		"window equal to concurrency":       func(c *policy.Consumer) { c.Loop.Window = c.Loop.Concurrency },
		"bulkhead equal to concurrency":     func(c *policy.Consumer) { c.Process.Bulkhead.MaxConcurrency = c.Loop.Concurrency },
		"sends beyond concurrency":          func(c *policy.Consumer) { c.Produce.Bulkhead.MaxConcurrency = c.Loop.Window },
		"breaker that is off":               func(c *policy.Consumer) { c.Process.Breaker = policy.Breaker{} },
		"rate limit that is off":            func(c *policy.Consumer) { c.Process.RateLimit = policy.RateLimit{} },
		"extra data":                        func(c *policy.Consumer) { c.Fetch.Extra = extra() },
	} {
		t.Run(name, func(t *testing.T) {
			c := policy.DefaultConsumer()
			change(&c)
			require.NoError(t, c.Validate())
		})
	}
}

// A policy that was never filled in says all that it lacks, in the order of its
// fields and once.
func TestValidateListsEveryFault(t *testing.T) {
	require.EqualError(t, policy.Consumer{Loop: policy.Loop{Streaming: true}}.Validate(), `loop.mode: "" is not a mode: the modes are "continuous" and "batch"
loop.concurrency: 0 is below 1
loop.window: 0 is below 1
fetch.retry.max_attempts: 0 is below 1
fetch.retry.backoff_multiplier: 0 is below 1
fetch.batch.size: 0 is below 1
fetch.empty.backoff: 0s is below 1ms: a streaming loop would ask an empty source without rest
fetch.empty.backoff_multiplier: 0 is below 1
process.retry.max_attempts: 0 is below 1
process.retry.backoff_multiplier: 0 is below 1
produce.retry.max_attempts: 0 is below 1
produce.retry.backoff_multiplier: 0 is below 1
success.retry.max_attempts: 0 is below 1
success.retry.backoff_multiplier: 0 is below 1
exception.retry.max_attempts: 0 is below 1
exception.retry.backoff_multiplier: 0 is below 1`)
	require.EqualError(t, policy.Producer{}.Validate(), `loop.mode: "" is not a mode: the modes are "continuous" and "batch"
loop.concurrency: 0 is below 1
loop.window: 0 is below 1
batch.size: 0 is below 1
fetch.retry.max_attempts: 0 is below 1
fetch.retry.backoff_multiplier: 0 is below 1
produce.retry.max_attempts: 0 is below 1
produce.retry.backoff_multiplier: 0 is below 1
success.retry.max_attempts: 0 is below 1
success.retry.backoff_multiplier: 0 is below 1
exception.retry.max_attempts: 0 is below 1
exception.retry.backoff_multiplier: 0 is below 1`)
}

func TestProducerFaults(t *testing.T) {
	p := policy.DefaultProducer()
	p.Produce.Bulkhead.MaxConcurrency = 257 // runs the task's code here
	p.Fetch.Extra = map[string]any{"c": make(chan int)}
	p.Shutdown.Grace = -1
	require.EqualError(t, p.Validate(), `fetch.extra.c: chan int is not data: use text, numbers, booleans, lists and maps by text
produce.bulkhead.max_concurrency: 257 is above loop.concurrency, 256
shutdown.grace: -1ns is negative: a duration is zero or more`)
}

func TestPartsAloneAreValidated(t *testing.T) {
	good := policy.DefaultConsumer().Process
	good.Bulkhead.MaxConcurrency = 1_000_000
	require.NoError(t, good.Validate())
	require.NoError(t, good.Retry.Validate())
	require.EqualError(t, policy.Retry{}.Validate(), "max_attempts: 0 is below 1\nbackoff_multiplier: 0 is below 1")
	require.EqualError(t, policy.Phase{}.Validate(), "retry.max_attempts: 0 is below 1\nretry.backoff_multiplier: 0 is below 1")
}

func TestFaultsAreAnError(t *testing.T) {
	err := policy.Retry{}.Validate()
	faults, ok := errors.AsType[policy.Faults](fmt.Errorf("load: %w", err))
	require.True(t, ok)
	require.Len(t, faults, 2)
	fault, ok := errors.AsType[policy.Fault](err)
	require.True(t, ok)
	require.Equal(t, policy.Fault{Path: "max_attempts", Message: "0 is below 1"}, fault)
	require.ErrorIs(t, err, policy.Fault{Path: "backoff_multiplier", Message: "0 is below 1"})
	require.NoError(t, policy.Faults{}.Err(), "no fault is no error, not an empty one")
	require.Equal(t, "whole", policy.Fault{Message: "whole"}.Error())
}

func TestPrefixed(t *testing.T) {
	faults := policy.Faults{{Path: "process.retry.jitter", Message: "2 is above 1"}, {Message: "read policy: empty"}}
	want := "tasks.score.consumer.process.retry.jitter: 2 is above 1\ntasks.score.consumer: read policy: empty"
	require.EqualError(t, faults.Prefixed("tasks.score.consumer"), want)
	require.EqualError(t, policy.Prefix("tasks.score.consumer", fmt.Errorf("load: %w", faults)), want)
	require.Equal(t, faults, faults.Prefixed(""))
	require.Equal(t, "process.retry.jitter", faults[0].Path, "the faults themselves stay")
	require.NoError(t, policy.Prefix("tasks", nil))
	cause := errors.New("disk on fire")
	require.EqualError(t, policy.Prefix("tasks", cause), "tasks: disk on fire")
	require.ErrorIs(t, policy.Prefix("tasks", cause), cause)
}
