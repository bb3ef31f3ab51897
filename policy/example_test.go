package policy_test

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ergon-framework/ergon/policy"
)

// A policy is the defaults with some of them changed.
func Example() {
	c := policy.DefaultConsumer()
	c.Loop.Concurrency = 32
	c.Process.Retry.MaxAttempts = 3
	fmt.Println(c.Validate())
	// Output: <nil>
}

// A document is decoded over the defaults. What it leaves out stays as it was, and
// a zero that it writes is a zero.
func Example_yaml() {
	document := `
loop: { concurrency: 8 }
process:
  retry: { timeout: 0s, backoff: 0.5 }
`
	c := policy.DefaultConsumer()
	if err := yaml.UnmarshalWithOptions([]byte(document), &c, yaml.Strict()); err != nil {
		fmt.Println(err)
	}
	fmt.Println("left out:", c.Process.Retry.MaxAttempts, "attempts")
	fmt.Println("written: ", c.Process.Retry.Timeout, "timeout,", c.Process.Retry.Backoff, "backoff")
	// Output:
	// left out: 8 attempts
	// written:  0s timeout, 500ms backoff
}

// Faults come all at once, each with its path in the file.
func ExampleFaults() {
	_, err := policy.DecodeConsumerJSON([]byte(`{"process": {"retry": {"max_attemps": 3}}}`))
	fmt.Println(policy.Prefix("tasks.score.consumer", err))

	c := policy.DefaultConsumer()
	c.Loop.Window = 8
	c.Process.Retry.MaxAttempts = 0
	fmt.Println(policy.Prefix("tasks.score.consumer", c.Validate()))
	// Output:
	// tasks.score.consumer.process.retry.max_attemps: unknown key "max_attemps", did you mean "max_attempts"?
	// tasks.score.consumer.loop.window: 8 is below loop.concurrency, 256
	// tasks.score.consumer.process.retry.max_attempts: 0 is below 1
}

// The cap is reached: 1, 2, 4 and then 5 seconds for ever.
func ExampleRetry_Delay() {
	r := policy.Retry{
		Backoff: policy.Duration(time.Second), BackoffMultiplier: 2, BackoffCap: policy.Duration(5 * time.Second),
		Jitter: 0.2,
	}
	for retry := range 5 {
		fmt.Print(r.Delay(retry), " ")
	}
	fmt.Println("and spread to", r.Jittered(r.Delay(4), 0), "at least")
	// Output: 1s 2s 4s 5s 5s and spread to 4s at least
}
