package config

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
)

// phaseTime is a phase and how long it may last in one piece.
type phaseTime struct {
	name  string
	phase policy.Phase
	park  time.Duration // a longer wait is not spent in place; 0: every one is
}

// consumerTimes holds the times of a consumer against one another.
func (a *adviser) consumerTimes(at path, t Task) {
	c := t.Consumer
	p := at.key("consumer")
	a.lifecycle(p, c.Transaction, phaseTime{"process", c.Process, c.Transaction.RedeliverOver.D()}, phaseTime{"produce", c.Produce, 0}, phaseTime{"success", c.Success, 0})
	a.grace(p, c.Shutdown, phaseTime{name: "process", phase: c.Process}, phaseTime{name: "produce", phase: c.Produce})
}

// producerTimes is consumerTimes for a task that produces. Which of the two a task is
// the file does not say; the policy of the other is as it is by default, and silent.
func (a *adviser) producerTimes(at path, t Task) {
	c := t.Producer
	p := at.key("producer")
	a.lifecycle(p, c.Transaction, phaseTime{"produce", c.Produce, 0}, phaseTime{"success", c.Success, 0})
	a.grace(p, c.Shutdown, phaseTime{name: "produce", phase: c.Produce})
}

// lifecycle looks for attempts that can never be made, since the transaction is over
// by then. What is parked is over as well: it comes back with all of its time.
func (a *adviser) lifecycle(p path, t policy.Transaction, phases ...phaseTime) {
	limit := t.Timeout.D()
	if limit <= 0 {
		return
	}
	var total time.Duration
	var parts []string
	for _, ph := range phases {
		worst, attempts := inOnePiece(ph.phase.Retry, ph.park)
		total = add(total, worst)
		part := fmt.Sprintf("%s %s (%d attempts", ph.name, human(worst), attempts)
		if ph.phase.Retry.Timeout > 0 {
			part += " of " + ph.phase.Retry.Timeout.String()
		}
		parts = append(parts, part+" and their waits)")
	}
	if total > limit {
		a.warn(p.key("transaction").key("timeout"), fmt.Sprintf("set it to %s or more, or allow fewer or shorter attempts", human(total)),
			"in the worst case the phases take %s: %s; at %s the transaction is cut off, and the attempts that are left are never made",
			human(total), strings.Join(parts, ", "), t.Timeout)
	}
}

// inOnePiece is how long the attempts and the waits between them last at most until
// the transaction is parked, and how many attempts that is. An attempt without a
// timeout counts as none: it has no worst case.
func inOnePiece(r policy.Retry, park time.Duration) (worst time.Duration, attempts int) {
	worst, attempts = r.Timeout.D(), 1
	for i := range r.MaxAttempts - 1 {
		d := r.Delay(i)
		longest := r.Jittered(d, 1)
		if park > 0 {
			if r.Jittered(d, 0) > park {
				break
			}
			longest = min(longest, park)
		}
		worst = add(worst, add(longest, r.Timeout.D()))
		attempts++
	}
	return worst, attempts
}

// longestWait is the longest that one wait before a retry may be.
func longestWait(r policy.Retry) time.Duration {
	if r.MaxAttempts < 2 {
		return 0
	}
	return r.Jittered(r.Delay(r.MaxAttempts-2), 1) // waits never become shorter
}

func add(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// grace looks for a stop that cuts off attempts which would have ended well. What the
// defaults leave to chance, five seconds of thirty, they leave on purpose; and a grace
// of 0s is asked for.
func (a *adviser) grace(p path, s policy.Shutdown, phases ...phaseTime) {
	usual := policy.DefaultConsumer()
	for _, ph := range phases {
		timeout := ph.phase.Retry.Timeout
		if s.Grace <= 0 || timeout <= s.Grace || s.Grace == usual.Shutdown.Grace && timeout <= usual.Process.Retry.Timeout {
			continue
		}
		a.warn(p.key("shutdown").key("grace"), fmt.Sprintf("set it to %s or more, and give the orchestrator more than that before it kills, or lower %s.retry.timeout", timeout, ph.name),
			"a stop waits %s, and an attempt of %s may take %s: one that is cut off is done again from its beginning", s.Grace, ph.name, timeout)
		return
	}
}

// window looks for outputs that may be sent again when their stream has forgotten
// that it has them: by a delivery that comes again, since its process ended before it
// could acknowledge, and fails once before it gets so far again.
func (a *adviser) window(at path, t Task) {
	ackWait := t.Source.JetStream.AckWait
	if ackWait <= 0 {
		ackWait = bus.DefaultAckWait
	}
	wait := longestWait(t.Consumer.Process.Retry)
	again := add(ackWait, wait)
	told := map[string]bool{}
	for _, route := range t.RouteNames() {
		r := t.Routes[route].JetStream
		if r == nil || told[r.Stream] {
			continue
		}
		told[r.Stream] = true
		window := duplicatesOf(a.c.Streams[r.Stream])
		if again <= window {
			continue
		}
		p := path{"streams", r.Stream, "duplicates"}
		if _, declared := a.c.Streams[r.Stream]; !declared {
			p = append(at, "routes", route, "jetstream", "stream")
		}
		lower := "process.retry.backoff_cap"
		if ackWait > window {
			lower = "source.jetstream.ack_wait and " + lower // the cap alone would not do
		}
		a.warn(p, fmt.Sprintf("set streams.%s.duplicates to %s or more, or lower %s", r.Stream, human(again), lower),
			"stream %q knows an output again for %s, and task %q may send it again after %s: ack_wait %s, and a wait of up to %s before a retry; it would be stored twice",
			r.Stream, human(window), at[1], human(again), human(ackWait), human(wait))
	}
}

// parkedFor looks for a stream that drops what waits in it.
func (a *adviser) parkedFor(at path, t Task) {
	s, declared := a.c.Streams[a.c.Parking.Stream]
	wait := longestWait(t.Consumer.Process.Retry)
	if !declared || s.MaxAge <= 0 || !t.Parks() || wait <= t.Consumer.Transaction.RedeliverOver.D() || wait <= s.MaxAge {
		return
	}
	a.warn(path{"streams", s.Name, "max_age"}, "leave max_age out: what is parked leaves the stream by itself",
		"transactions wait in this stream for their next attempt (parking.stream), those of task %q for up to %s, and after %s they are dropped", at[1], human(wait), human(s.MaxAge))
}

// duplicatesOf is how long a stream remembers an ID, by what is declared of it.
func duplicatesOf(s bus.Stream) time.Duration {
	switch {
	case s.Duplicates > 0:
		return s.Duplicates
	case s.MaxAge > 0:
		return min(bus.DefaultDuplicates, s.MaxAge)
	}
	return bus.DefaultDuplicates
}
