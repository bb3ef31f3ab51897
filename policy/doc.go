// Package policy says how hard Ergon tries: how often, how long, how many at
// once, and when it gives up. A policy is data and nothing else. It holds no
// function, no clock and no connection, so it can be written in a file, printed,
// compared, sent and stored, and two processes that read the same policy behave
// the same (RFC-003 §3, R068, R087). The engine turns it into running limits;
// a task never sees it (R088).
//
// # Start from the defaults
//
// A policy is made by changing the defaults:
//
//	c := policy.DefaultConsumer()
//	c.Loop.Concurrency = 32
//	c.Process.Retry.MaxAttempts = 3
//	if err := c.Validate(); err != nil {
//		return err // every fault, one per line
//	}
//
// A literal Consumer{} is not a policy: it allows no attempt and no worker, and
// Validate says so.
//
// # Zero means zero
//
// Many libraries read a zero field as "not set" and put the default there. Then
// nobody can ask for zero, and a timeout that was switched off comes back. Here
// the default is filled in first and a document is decoded over it, so three
// things stay apart:
//
//   - a key that is left out keeps its default;
//   - a zero that is written means what the field says zero means: a timeout of
//     0s is no limit, a limit of 0 is no limit, a breaker with 0 failures is off;
//   - a null is a key with nothing behind it, which is the same as leaving it out.
//
// So decode YAML or JSON into DefaultConsumer() or DefaultProducer(), never into
// a zero value:
//
//	c := policy.DefaultConsumer()
//	err := yaml.UnmarshalWithOptions(doc, &c, yaml.Strict())
//
// or let DecodeConsumerJSON do it, which is the stricter way and the one for a
// program that loads files: it names the nearest known key for an unknown one,
// reports every fault with its path and not only the first, and refuses a
// concurrency of 2.5, which goccy/go-yaml reads as 2. Consumer.Overlay puts one
// more document on top, such as settings from the environment.
//
// # Durations
//
// A duration is written "250ms", "1m30s", or as a number, which is seconds (R086).
// It is never negative.
//
// # Delays
//
// The wait before retry n is backoff × multiplier^n, n = 0 for the first retry,
// no longer than the cap when the cap is over zero (R075). Jitter comes after the
// cap. Retry.Delay and Empty.Delay are that formula, Retry.Jittered the spread.
//
// # Ownership
//
// Policies are values: assigning one copies it. Only Fetch.Extra is a map and
// would be shared, so whoever keeps a policy keeps a Clone (R071).
package policy
