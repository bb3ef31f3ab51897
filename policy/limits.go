package policy

import "time"

// Bulkhead bounds how many transactions are in a phase at once. Waiting for a
// place spends no attempt and no attempt time.
type Bulkhead struct {
	// How many transactions may be in this phase at once (R007, R076). For a phase
	// that runs the task's code it is at most loop.concurrency, for the sends of a
	// consumer at most loop.window. 0 is none of its own: those two bound it.
	// Default 0.
	MaxConcurrency int `json:"max_concurrency" yaml:"max_concurrency" jsonschema:"minimum=0,maximum=1000000"`
}

// Or is the bound in force: the bulkhead's own, else the given one of the loop.
func (b Bulkhead) Or(loop int) int {
	if b.MaxConcurrency > 0 {
		return b.MaxConcurrency
	}
	return loop
}

// Breaker stops a phase that keeps failing, so that a dependency which is down is
// left alone and its backlog is not retried into the dead-letter store. While it
// is open the loop takes nothing new. It is on when failures is over 0.
type Breaker struct {
	// How many failed attempts open it, out of the last executions. 0 is off, and
	// then the other keys say nothing. Default 0.
	Failures int `json:"failures" yaml:"failures" jsonschema:"minimum=0,maximum=1000000"`
	// How many of the latest attempts are looked at; not below failures. 0 is as
	// many as failures, so the failures must follow one another. Default 0.
	Executions int `json:"executions" yaml:"executions" jsonschema:"minimum=0,maximum=1000000"`
	// How long it stays open before it lets an attempt through to try; over 0s
	// when the breaker is on. Default 10s.
	Delay Duration `json:"delay" yaml:"delay"`
	// How many of these trial attempts must succeed, one after the other, to close
	// it again; 1 or more when the breaker is on. Default 1.
	Successes int `json:"successes" yaml:"successes" jsonschema:"minimum=0,maximum=1000000"`
}

// Enabled says whether there is a breaker at all.
func (b Breaker) Enabled() bool { return b.Failures > 0 }

// Window is how many of the latest attempts are looked at.
func (b Breaker) Window() int { return max(b.Executions, b.Failures) }

// RateLimit bounds how often a phase starts an attempt. Waiting for its turn
// spends no attempt and no attempt time. It is on when limit is over 0.
type RateLimit struct {
	// How many attempts may start in each period. 0 is off. Default 0.
	Limit int `json:"limit" yaml:"limit" jsonschema:"minimum=0"`
	// The period, over 0s when the limit is on. Default 1s, so that limit reads as
	// "per second".
	Per Duration `json:"per" yaml:"per"`
	// How the attempts of a period may lie: false spreads them evenly, one every
	// per/limit; true lets them all start at once and then waits for the next
	// period. Default false, which is kinder to whoever is called.
	Burst bool `json:"burst" yaml:"burst"`
}

// Enabled says whether there is a rate limit at all.
func (r RateLimit) Enabled() bool { return r.Limit > 0 }

// Interval is the time between two attempts when they are spread evenly, and 0
// when there is no limit.
func (r RateLimit) Interval() time.Duration {
	if !r.Enabled() {
		return 0
	}
	return r.Per.D() / time.Duration(r.Limit)
}

// Batch sizes what is taken at once. It bounds no concurrency: a batch of 10 can
// feed 256 workers.
type Batch struct {
	// How many transactions are asked for at once at most (R077); fewer when fewer
	// places are free, or when loop.limit leaves fewer. 1 or more. Default 256.
	Size int `json:"size" yaml:"size" jsonschema:"minimum=1,maximum=1000000"`
}
