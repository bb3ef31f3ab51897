package policy

import (
	"fmt"
	"math"
	"time"
)

// maxCount bounds every count. A policy has no "unlimited" (R069, R076), and a
// number beyond this is a slip of the hand or another way to write it: with a
// wait of a minute a million attempts take two years. Only loop.limit, which ends
// a run sooner and not later, may be larger.
const maxCount = 1_000_000

// minEmptyWait is the shortest wait of an idle streaming loop. Below it, asking an
// empty source is a busy loop whatever the number says (R078).
const minEmptyWait = Duration(time.Millisecond)

// Validate reports every fault of the policy at once, as Faults, or nil. The
// runner calls it before an engine starts (R089).
func (c Consumer) Validate() error {
	var v validator
	v.loop("loop", c.Loop)
	v.retry("fetch.retry", c.Fetch.Retry)
	v.count("fetch.batch.size", c.Fetch.Batch.Size, 1)
	v.empty("fetch.empty", c.Fetch.Empty, c.Loop.Streaming)
	v.breaker("fetch.breaker", c.Fetch.Breaker)
	v.data("fetch.extra", c.Fetch.Extra)
	v.transaction("transaction", c.Transaction)
	v.phase("process", c.Process, "loop.concurrency", c.Loop.Concurrency)
	// The sends of a consumer are the engine's and hold no worker: what bounds them
	// is the window.
	v.phase("produce", c.Produce, "loop.window", c.Loop.Window)
	v.phase("success", c.Success, "loop.concurrency", c.Loop.Concurrency)
	v.phase("exception", c.Exception, "loop.concurrency", c.Loop.Concurrency)
	v.duration("shutdown.grace", c.Shutdown.Grace)
	return v.faults.Err()
}

// Validate reports every fault of the policy at once, as Faults, or nil.
func (p Producer) Validate() error {
	var v validator
	v.loop("loop", p.Loop.Loop())
	v.count("batch.size", p.Batch.Size, 1)
	v.retry("fetch.retry", p.Fetch.Retry)
	v.breaker("fetch.breaker", p.Fetch.Breaker)
	v.data("fetch.extra", p.Fetch.Extra)
	v.transaction("transaction", p.Transaction)
	v.phase("produce", p.Produce, "loop.concurrency", p.Loop.Concurrency)
	v.phase("success", p.Success, "loop.concurrency", p.Loop.Concurrency)
	v.phase("exception", p.Exception, "loop.concurrency", p.Loop.Concurrency)
	v.duration("shutdown.grace", p.Shutdown.Grace)
	return v.faults.Err()
}

// Validate reports every fault of a phase that stands alone, without a loop, such
// as the policy of a service's calls.
func (p Phase) Validate() error {
	var v validator
	v.phase("", p, "", maxCount)
	return v.faults.Err()
}

// Validate reports every fault of the retry policy at once.
func (r Retry) Validate() error {
	var v validator
	v.retry("", r)
	return v.faults.Err()
}

// validator collects faults; every method looks at one thing and goes on.
type validator struct{ faults Faults }

func (v *validator) fail(path, format string, args ...any) {
	v.faults = append(v.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

// count checks least ≤ n ≤ maxCount and says whether that holds, for a rule that
// compares n with another count: one mistake should be one fault.
func (v *validator) count(path string, n, least int) bool {
	switch {
	case n < least:
		v.fail(path, "%d is below %d", n, least)
	case n > maxCount:
		v.fail(path, "%d is above %d", n, maxCount)
	default:
		return true
	}
	return false
}

func (v *validator) duration(path string, d Duration) bool {
	if d < 0 {
		v.fail(path, "%s is negative: a duration is zero or more", d)
		return false
	}
	return true
}

func (v *validator) number(path string, f, least, most float64) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		v.fail(path, "%v is not a finite number", f)
	case f < least:
		v.fail(path, "%v is below %v", f, least)
	case f > most:
		v.fail(path, "%v is above %v", f, most)
	}
}

func (v *validator) loop(path string, l Loop) {
	switch mode, err := ParseMode(string(l.Mode)); {
	case err != nil:
		v.fail(join(path, "mode"), "%v", err)
	case mode != l.Mode: // decoding puts this right, a literal in code does not
		v.fail(join(path, "mode"), "%q is to be %q", l.Mode, mode)
	}
	workers := v.count(join(path, "concurrency"), l.Concurrency, 1)
	// A window below the concurrency would leave workers that can never run: the
	// number of workers in the file would be a lie, and silently so.
	if v.count(join(path, "window"), l.Window, 1) && workers && l.Window < l.Concurrency {
		v.fail(join(path, "window"), "%d is below loop.concurrency, %d", l.Window, l.Concurrency)
	}
	if v.count(join(path, "prefetch"), l.Prefetch, 0) && workers && l.Prefetch > l.Concurrency {
		v.fail(join(path, "prefetch"), "%d is above loop.concurrency, %d", l.Prefetch, l.Concurrency)
	}
	if l.Limit < 0 {
		v.fail(join(path, "limit"), "%d is below 0", l.Limit)
	}
	v.duration(join(path, "timeout"), l.Timeout)
}

func (v *validator) transaction(path string, t Transaction) {
	v.duration(join(path, "timeout"), t.Timeout)
	v.count(join(path, "max_deliveries"), t.MaxDeliveries, 0)
	v.duration(join(path, "redeliver_over"), t.RedeliverOver)
	v.duration(join(path, "stuck_after"), t.StuckAfter)
}

// phase checks a phase against the loop's bound named so.
func (v *validator) phase(path string, p Phase, bound string, loop int) {
	v.retry(join(path, "retry"), p.Retry)
	at := join(path, "bulkhead.max_concurrency")
	if v.count(at, p.Bulkhead.MaxConcurrency, 0) && loop > 0 && p.Bulkhead.MaxConcurrency > loop {
		v.fail(at, "%d is above %s, %d", p.Bulkhead.MaxConcurrency, bound, loop)
	}
	v.breaker(join(path, "breaker"), p.Breaker)
	v.rateLimit(join(path, "rate_limit"), p.RateLimit)
}

// retry checks R072 to R075. A cap below the backoff is legal: every wait is then
// the cap. So is a timeout above the transaction's, which ends the attempt first.
func (v *validator) retry(path string, r Retry) {
	v.count(join(path, "max_attempts"), r.MaxAttempts, 1)
	v.duration(join(path, "timeout"), r.Timeout)
	v.duration(join(path, "backoff"), r.Backoff)
	v.number(join(path, "backoff_multiplier"), r.BackoffMultiplier, 1, math.MaxFloat64)
	v.duration(join(path, "backoff_cap"), r.BackoffCap)
	v.number(join(path, "jitter"), r.Jitter, 0, 1)
}

func (v *validator) empty(path string, e Empty, streaming bool) {
	at := join(path, "backoff")
	if v.duration(at, e.Backoff) && streaming && e.Backoff < minEmptyWait {
		v.fail(at, "%s is below %s: a streaming loop would ask an empty source without rest", e.Backoff, minEmptyWait)
	}
	v.number(join(path, "backoff_multiplier"), e.BackoffMultiplier, 1, math.MaxFloat64)
	at = join(path, "backoff_cap")
	if v.duration(at, e.BackoffCap) && streaming && e.BackoffCap > 0 && e.BackoffCap < minEmptyWait {
		v.fail(at, "%s is below %s: a streaming loop would ask an empty source without rest", e.BackoffCap, minEmptyWait)
	}
}

// breaker checks a breaker's numbers always and their sense only when it is on,
// since a breaker that is off may keep whatever it had.
func (v *validator) breaker(path string, b Breaker) {
	failures := v.count(join(path, "failures"), b.Failures, 0)
	if v.count(join(path, "executions"), b.Executions, 0) && failures && b.Executions > 0 && b.Executions < b.Failures {
		v.fail(join(path, "executions"), "%d is below failures, %d: it could never open", b.Executions, b.Failures)
	}
	if v.duration(join(path, "delay"), b.Delay) && b.Enabled() && b.Delay == 0 {
		v.fail(join(path, "delay"), "0s would close the breaker as soon as it opens")
	}
	least := 0
	if b.Enabled() {
		least = 1
	}
	v.count(join(path, "successes"), b.Successes, least)
}

func (v *validator) rateLimit(path string, r RateLimit) {
	if r.Limit < 0 {
		v.fail(join(path, "limit"), "%d is below 0", r.Limit)
	}
	at := join(path, "per")
	switch ok := v.duration(at, r.Per); {
	case !ok || !r.Enabled():
	case r.Per == 0:
		v.fail(at, "0s is no period to count a limit in")
	case r.Interval() == 0:
		// Less than a nanosecond apart is no limit, and an interval of zero is a
		// division by zero where it is applied.
		v.fail(join(path, "limit"), "%d is above one per nanosecond in %s", r.Limit, r.Per)
	}
}

// data checks that a value is data all the way down (R068): what a JSON or YAML
// document can say, and nothing that runs or points.
func (v *validator) data(path string, value any) {
	switch value := value.(type) {
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
	case float32:
		v.data(path, float64(value))
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			v.fail(path, "%v is not a finite number", value)
		}
	case []any:
		for i, e := range value {
			v.data(fmt.Sprintf("%s[%d]", path, i), e)
		}
	case map[string]any:
		for _, k := range sortedKeys(value) {
			v.data(join(path, k), value[k])
		}
	default:
		v.fail(path, "%T is not data: use text, numbers, booleans, lists and maps by text", value)
	}
}
