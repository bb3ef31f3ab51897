package policy_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ergon-framework/ergon/policy"
)

func TestDecodeReportsEveryFault(t *testing.T) {
	_, err := policy.DecodeConsumerJSON([]byte(`{
		"loop": {"mode": "burst", "Concurrency": 4, "limit": 1.5, "streaming": "yes", "window": "many"},
		"fetch": {"extra": 3, "batch": 12},
		"process": {"retry": {"timeout": "-1s", "jitter": "a lot", "max_attempts": 1, "max_attempts": 2}, "max_attempts": 3},
		"produce": {"retry": {"backoff": "soon", "timeout": 1e300}},
		"proces": {}
	}`))
	require.EqualError(t, err, `loop.mode: "burst" is not a mode: the modes are "continuous" and "batch"
loop.Concurrency: unknown key "Concurrency", did you mean "concurrency"?
loop.limit: 1.5 is not a whole number
loop.streaming: "yes" is not true or false
loop.window: "many" is not a whole number
fetch.extra: 3 is not a group of keys
fetch.batch: 12 is not a group of keys: here belong [size]
process.retry.timeout: "-1s" is negative: a duration is zero or more
process.retry.jitter: "a lot" is not a number
process.retry.max_attempts: the key stands twice
process.max_attempts: unknown key "max_attempts", did you mean "retry.max_attempts"?
produce.retry.backoff: "soon" is not a duration: write 250ms, 1m30s or a number of seconds
produce.retry.timeout: "1e300" is too long: the longest duration is 292 years
proces: unknown key "proces", did you mean "process"?`)

	_, err = policy.DecodeConsumerJSON([]byte(`{"loop": {"mode": 5}}`))
	require.EqualError(t, err, `loop.mode: 5 is not text`)
}

func TestDecodeRefusesWhatIsNoDocument(t *testing.T) {
	for document, want := range map[string]string{
		``:                      `read policy: unexpected end of JSON input`,
		`{} {}`:                 `read policy: invalid character '{' after top-level value`,
		`{"loop":`:              `read policy: unexpected end of JSON input`,
		`[]`:                    `[] is not a group of keys: here belong [loop batch fetch transaction produce success exception shutdown]`,
		`{"process": {}}`:       `process: unknown key "process", the keys here are loop, batch, fetch, transaction, produce, success, exception, shutdown`,
		`{"fetch":{"empty":5}}`: `fetch.empty: unknown key "empty", the keys here are retry, breaker, extra`,
	} {
		_, err := policy.DecodeProducerJSON([]byte(document))
		require.EqualError(t, err, want)
	}
	p, err := policy.DecodeProducerJSON([]byte(`{"batch":{"size":10},"loop":{"mode":" Continuous "}}`))
	require.NoError(t, err)
	want := policy.DefaultProducer()
	want.Batch.Size, want.Loop.Mode = 10, policy.ModeContinuous
	require.Equal(t, want, p)
}

// Layers: the later document wins key by key, and the earlier policy stays as it is.
func TestOverlay(t *testing.T) {
	base, err := policy.DecodeConsumerJSON([]byte(`{"loop":{"concurrency":8},"fetch":{"extra":{"a":1,"b":{"c":2}}}}`))
	require.NoError(t, err)
	before := base.Clone()
	over, err := base.Overlay([]byte(`{"process":{"retry":{"timeout":0}},"fetch":{"extra":{"b":3}}}`))
	require.NoError(t, err)
	require.Equal(t, before, base)
	require.Equal(t, 8, over.Loop.Concurrency)
	require.Zero(t, over.Process.Retry.Timeout)
	require.Equal(t, map[string]any{"b": 3.0}, over.Fetch.Extra, "extra is replaced and not mixed")
	over, err = base.Overlay([]byte(`{"fetch":{"extra":{}}}`))
	require.NoError(t, err)
	require.Empty(t, over.Fetch.Extra, "and so it can be cleared")

	over, err = base.Overlay([]byte(`{"loop":{"concurrency":9,"window":"?"}}`))
	require.Error(t, err)
	require.Zero(t, over, "half a document is no policy")
	require.Equal(t, before, base)

	producer, err := policy.DefaultProducer().Overlay([]byte(`{"loop":{"limit":7}}`))
	require.NoError(t, err)
	require.EqualValues(t, 7, producer.Loop.Limit)
	_, err = producer.Overlay([]byte(`{"loop":{"streaming":true}}`))
	require.Error(t, err)
}

// R068: a policy is its document, in JSON and in YAML.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawConsumer(t)
		require.NoError(t, want.Validate())
		document, err := json.Marshal(want)
		require.NoError(t, err)
		got, err := policy.DecodeConsumerJSON(document)
		require.NoError(t, err)
		require.Equal(t, want, got)
		document, err = yaml.Marshal(want)
		require.NoError(t, err)
		got = policy.DefaultConsumer()
		require.NoError(t, yaml.UnmarshalWithOptions(document, &got, yaml.Strict()), "%s", document)
		require.Equal(t, want, got)
	})
}

func drawConsumer(t *rapid.T) policy.Consumer {
	duration := rapid.Map(rapid.Int64Range(0, math.MaxInt64), func(n int64) policy.Duration { return policy.Duration(n) })
	some := rapid.Map(rapid.Int64Range(1e6, math.MaxInt64), func(n int64) policy.Duration { return policy.Duration(n) })
	count := rapid.IntRange(1, 1_000_000)
	multiplier := rapid.Float64Range(1, math.MaxFloat64)
	retry := rapid.Custom(func(t *rapid.T) policy.Retry {
		return policy.Retry{
			MaxAttempts: count.Draw(t, "attempts"), Timeout: duration.Draw(t, "timeout"), Backoff: duration.Draw(t, "backoff"),
			BackoffMultiplier: multiplier.Draw(t, "multiplier"), BackoffCap: duration.Draw(t, "cap"), Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
	})
	breaker := rapid.Custom(func(t *rapid.T) policy.Breaker {
		failures := rapid.IntRange(0, 100).Draw(t, "failures")
		return policy.Breaker{
			Failures: failures, Executions: rapid.IntRange(failures, 1000).Draw(t, "executions"),
			Delay: some.Draw(t, "delay"), Successes: count.Draw(t, "successes"),
		}
	})
	c := policy.DefaultConsumer()
	c.Loop = policy.Loop{
		Streaming:   rapid.Bool().Draw(t, "streaming"),
		Mode:        rapid.SampledFrom([]policy.Mode{policy.ModeBatch, policy.ModeContinuous}).Draw(t, "mode"),
		Concurrency: count.Draw(t, "concurrency"),
		Limit:       rapid.Int64Range(0, math.MaxInt64).Draw(t, "limit"),
		Timeout:     duration.Draw(t, "loop timeout"),
	}
	c.Loop.Window = rapid.IntRange(c.Loop.Concurrency, 1_000_000).Draw(t, "window")
	c.Loop.Prefetch = rapid.IntRange(0, c.Loop.Concurrency).Draw(t, "prefetch")
	c.Fetch.Retry, c.Fetch.Batch.Size, c.Fetch.Breaker = retry.Draw(t, "fetch"), count.Draw(t, "batch"), breaker.Draw(t, "fetch")
	c.Fetch.Empty = policy.Empty{Backoff: some.Draw(t, "empty"), BackoffMultiplier: multiplier.Draw(t, "empty"), BackoffCap: some.Draw(t, "empty")}
	c.Fetch.Extra = rapid.SampledFrom([]map[string]any{nil, {}, extra()}).Draw(t, "extra")
	c.Transaction = policy.Transaction{
		Timeout: duration.Draw(t, "tx timeout"), MaxDeliveries: count.Draw(t, "deliveries"),
		RedeliverOver: duration.Draw(t, "over"), StuckAfter: duration.Draw(t, "stuck"),
	}
	for _, phase := range []*policy.Phase{&c.Process, &c.Produce, &c.Success, &c.Exception} {
		phase.Retry, phase.Breaker = retry.Draw(t, "retry"), breaker.Draw(t, "breaker")
		phase.Bulkhead.MaxConcurrency = rapid.IntRange(0, c.Loop.Concurrency).Draw(t, "bulkhead")
		phase.RateLimit = policy.RateLimit{Limit: rapid.IntRange(0, 1e6).Draw(t, "rate"), Per: some.Draw(t, "per"), Burst: rapid.Bool().Draw(t, "burst")}
	}
	c.Shutdown.Grace = duration.Draw(t, "grace")
	return c
}

var documents = []string{
	`{}`, `null`, `{"loop":{"concurrency":8,"mode":"batch"}}`, `{"process":{"retry":{"timeout":0.25,"backoff":"1m"}}}`,
	`{"fetch":{"extra":{}}}`, `{"fetch":{"extra":{"a":[1,"b",null,{"c":true}]}}}`, `{"process":{"rate_limit":{"limit":5,"burst":true}}}`,
	`{"proces":{}}`, `{"loop":{"limit":1e3}}`, `{"success":{"breaker":{"failures":3}}}`, `{"loop":{"limit":1,"limit":2}}`,
}

// What decodes and is valid encodes to a document that decodes to the same.
func FuzzConsumerJSON(f *testing.F) {
	for _, seed := range documents {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		c, err := policy.DecodeConsumerJSON(document)
		if err != nil || c.Validate() != nil {
			return
		}
		again, err := json.Marshal(c)
		require.NoError(t, err)
		got, err := policy.DecodeConsumerJSON(again)
		require.NoError(t, err)
		require.Equal(t, c, got)
	})
}

// The same through YAML. Extra is left out of it: what the YAML library makes of
// arbitrary text in free-form data is not ours to promise.
func FuzzConsumerYAML(f *testing.F) {
	for _, seed := range documents {
		f.Add([]byte(seed))
	}
	f.Add([]byte("loop:\n  concurrency: 8\n  timeout: 1.5\nprocess: &p\n  retry: {backoff: 1s}\nsuccess: *p\n"))
	f.Fuzz(func(t *testing.T, document []byte) {
		c := policy.DefaultConsumer()
		if yaml.UnmarshalWithOptions(document, &c, yaml.Strict()) != nil || c.Validate() != nil {
			return
		}
		c.Fetch.Extra = nil
		again, err := yaml.Marshal(c)
		require.NoError(t, err)
		got := policy.DefaultConsumer()
		require.NoError(t, yaml.UnmarshalWithOptions(again, &got, yaml.Strict()))
		require.Equal(t, c, got)
	})
}
