package policy

import (
	"math"
	"time"
)

// Retry bounds one phase: how many attempts, how long each may take, and how
// long to wait in between. Every phase has its own; none spends another's (R070).
//
// BUSINESS errors are never retried, whatever stands here (R062).
type Retry struct {
	// How often the phase is tried, the first try included, so 1 is no retry at
	// all (R072). From 1 to 1000000; there is no way to say "for ever" (R069).
	// Default: process and produce 8, fetch 5, success and exception 3.
	MaxAttempts int `json:"max_attempts" yaml:"max_attempts" jsonschema:"minimum=1,maximum=1000000"`
	// How long one attempt may take; waits between attempts do not count (R073).
	// 0s is no limit. Default: process 30s, produce, success and exception 5s,
	// fetch 0s, because an idle source waits for as long as it is idle.
	Timeout Duration `json:"timeout" yaml:"timeout"`
	// The wait before the first retry (R074). 0s retries at once.
	// Default: process 200ms, the others 100ms.
	Backoff Duration `json:"backoff" yaml:"backoff"`
	// What each further wait is multiplied by (R075), 1 or more; 1 keeps the wait
	// constant. Default: process 3, the others 2.
	BackoffMultiplier float64 `json:"backoff_multiplier" yaml:"backoff_multiplier" jsonschema:"minimum=1"`
	// The longest wait before jitter (R075). It is reached and never passed, and
	// may be below backoff. 0s is no cap. Default: process 1m, produce 10s,
	// fetch 5s, success and exception 1s.
	BackoffCap Duration `json:"backoff_cap" yaml:"backoff_cap"`
	// How far a wait is spread, as a fraction of it, from 0 to 1: with 0.2 a wait
	// of 10s becomes 8s to 12s. It is applied after the cap, so a wait can exceed
	// the cap by this fraction. 0 is no spread. Default: process 0.2, the others 0.
	Jitter float64 `json:"jitter" yaml:"jitter" jsonschema:"minimum=0,maximum=1"`
}

// Delay is the wait before a retry, without jitter: backoff × multiplier^retry,
// at most the cap when the cap is over zero (R075). The first retry is retry 0,
// so the wait after attempt n, counted from 1, is Delay(n-1). It never overflows:
// what would be longer than a duration can be is the longest one.
func (r Retry) Delay(retry int) time.Duration {
	return delay(r.Backoff, r.BackoffMultiplier, r.BackoffCap, retry)
}

// Jittered spreads a delay to between d×(1-jitter) and d×(1+jitter). The random
// number comes from the caller, 0 ≤ random < 1, 0.5 being no change: a policy has
// no randomness of its own, and the engine's is seeded by the transaction.
//
// Jitter is for what Delay returned, after the cap. Under the cap all waits that
// reached it would be equal again, and the callers that failed together would
// come back together, which is what jitter is to prevent.
func (r Retry) Jittered(d time.Duration, random float64) time.Duration {
	// The comparisons are written so that NaN changes nothing.
	if d <= 0 || !(r.Jitter > 0) || !(random >= 0 && random <= 1) {
		return d
	}
	return saturate(float64(d) * (1 + min(r.Jitter, 1)*(2*random-1)))
}

// Empty is the wait after a fetch that brought nothing, for a source that answers
// at once when it is empty (R078). It counts consecutive empty fetches and begins
// anew after one that brought something; a source that can say it has data again
// cuts it short. Only a streaming loop uses it.
type Empty struct {
	// The wait after the first empty fetch, 1ms or more while streaming: without
	// a wait an empty source would be asked in a busy loop. Default 50ms.
	Backoff Duration `json:"backoff" yaml:"backoff"`
	// What each further wait is multiplied by, 1 or more. Default 2.
	BackoffMultiplier float64 `json:"backoff_multiplier" yaml:"backoff_multiplier" jsonschema:"minimum=1"`
	// The longest wait, 1ms or more while streaming, or 0s, which is no cap.
	// Default 1s, so a new message waits a second at most.
	BackoffCap Duration `json:"backoff_cap" yaml:"backoff_cap"`
}

// Delay is the wait after consecutive empty fetches, by the formula of
// Retry.Delay; the first empty fetch is 0.
func (e Empty) Delay(empty int) time.Duration {
	return delay(e.Backoff, e.BackoffMultiplier, e.BackoffCap, empty)
}

// delay is the one formula of R075. Two edges are decided here. A zero backoff
// stays zero, whatever it is multiplied by. A multiplier that Validate would
// refuse (below 1, or NaN) counts as 1: an unchecked policy must not turn into a
// busy loop.
func delay(backoff Duration, multiplier float64, ceiling Duration, n int) time.Duration {
	d := max(backoff.D(), 0)
	if d > 0 && n > 0 && multiplier > 1 {
		d = saturate(float64(d) * math.Pow(multiplier, float64(n)))
	}
	if ceiling > 0 {
		d = min(d, ceiling.D())
	}
	return d
}

// saturate turns nanoseconds into a duration. The conversion of a float that does
// not fit is whatever the processor makes of it, negative on amd64, so the limit
// is compared first. 2^63 itself is a float64 and the first that does not fit.
func saturate(nanoseconds float64) time.Duration {
	if nanoseconds >= 1<<63 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(nanoseconds))
}
