package admin

import (
	"context"
	"sync"
	"time"
)

// sampleEvery is how often what was done is noted, and samples for how many of them
// are kept: a minute, and one more to count from.
const (
	sampleEvery = time.Second
	samples     = 61
)

// done is what a task had brought to a final outcome.
type done struct{ all, dead int64 }

func doneBy(t Task) done {
	r := t.Snapshot().Report
	return done{r.Succeeded + r.Dead, r.Dead}
}

// sample is what all had done at a moment.
type sample struct {
	at time.Time
	by map[Task]done
}

// rates remembers samples of the last minute. Counters alone say what was done since
// the start, which of a process that runs for weeks is nobody's question.
type rates struct {
	mu   sync.Mutex
	ring []sample
	next int // where the next one goes, once the ring is full
}

func (r *rates) run(ctx context.Context, p Process) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.sample(now, p.Tasks())
		case <-ctx.Done():
			return
		}
	}
}

func (r *rates) sample(now time.Time, tasks []Task) {
	s := sample{at: now, by: make(map[Task]done, len(tasks))}
	for _, t := range tasks {
		s.by[t] = doneBy(t)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < samples {
		r.ring = append(r.ring, s)
		return
	}
	r.ring[r.next] = s
	r.next = (r.next + 1) % samples
}

// since returns the oldest sample that is no older than d, or the latest if all are.
func (r *rates) since(now time.Time, d time.Duration) (found sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.ring) - 1; i >= 0; i-- {
		s := r.ring[(r.next+i)%len(r.ring)]
		if found.by != nil && now.Sub(s.at) > d {
			break
		}
		found = s
	}
	return found
}

// Rate is how much was done in some time.
type Rate struct {
	TransactionsPerSecond float64 `json:"transactions_per_second"` // that succeeded or are dead letters
	DeadPerSecond         float64 `json:"dead_per_second"`
	// Seconds is how long it was: less than asked for, of a process that has just
	// started.
	Seconds float64 `json:"seconds"`
}

// over is the rate of a task in the last d.
func (r *rates) over(now time.Time, d time.Duration, t Task) Rate {
	from, at := r.since(now, d), doneBy(t)
	before := from.by[t] // zero, if it was made since
	seconds := now.Sub(from.at).Seconds()
	if seconds <= 0 {
		return Rate{}
	}
	return Rate{float64(at.all-before.all) / seconds, float64(at.dead-before.dead) / seconds, seconds}
}
