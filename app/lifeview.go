package app

import (
	"fmt"
	"time"

	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/engine"
)

// A life shows itself as one task, whichever of its engines runs.
var _ admin.Task = (*life)(nil)

// Name is the task's.
func (l *life) Name() string { return l.task.Name() }

// Generation is that of the policy in force.
func (l *life) Generation() int { return l.current().Generation() }

// Alive is the engine's that runs.
func (l *life) Alive() error { return l.current().Alive() }

func (l *life) current() *engine.Engine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.engine
}

// Checks are the engine's while one runs. Whether it runs is one of them.
func (l *life) Checks() []engine.Check {
	l.mu.Lock()
	defer l.mu.Unlock()
	check := engine.Check{Part: "task", Err: l.unwell(time.Now())}
	if l.ran { // its source is closed, and would only say so
		return []engine.Check{check}
	}
	return append([]engine.Check{check}, l.now.engine.Checks()...)
}

// unwell says why no engine runs that should; nil for one that ended in order. It is
// called with mu held.
func (l *life) unwell(now time.Time) error {
	switch {
	case l.failed == nil:
		return nil
	case l.over:
		return fmt.Errorf("it has ended: %w", l.failed)
	}
	wait := max(l.next.Sub(now), 0).Round(100 * time.Millisecond)
	return fmt.Errorf("failed, next try in %s (%d of %d): %w", wait, l.failures, l.rules.Restarts, l.failed)
}

// Metrics are those of all its engines together. The engine is read under the lock:
// else what a slow look at the old one returns could be shown after its successor's.
func (l *life) Metrics() engine.Metrics {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.metrics()
	m.Restarts = l.restarts
	return m
}

func (l *life) metrics() engine.Metrics {
	m := l.now.engine.Metrics()
	if !l.before.Since.IsZero() {
		m = m.After(l.before)
	}
	return m
}

// Snapshot has the sum of all engines' reports, and what the one that runs is doing.
func (l *life) Snapshot() engine.Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.now.engine.Snapshot()
	if l.ran {
		s.Report, s.Unready = l.sum, ""
	} else {
		s.Report = s.Plus(l.sum)
	}
	if err := l.unwell(time.Now()); err != nil {
		s.Unready = err.Error()
	}
	return s
}

// report is what the task did. Of one that does not end, what it holds is abandoned.
func (l *life) report() (r engine.Report, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ran {
		return l.sum, l.over
	}
	s := l.now.engine.Snapshot()
	s.Abandoned += int64(s.Held)
	return s.Plus(l.sum), false
}

// Drained says how a task ended that was told to.
type Drained struct {
	Task string `json:"task"`
	// Finished were held when the stop began, and came to their end: they are stored
	// with their outputs, dead letters, or wait for a later attempt.
	Finished int64 `json:"finished"`
	// Released were given back: they come again at once, uncounted.
	Released int64 `json:"released"`
	// Lost ran out of their leases meanwhile: somebody else has them.
	Lost int64 `json:"lost"`
	// Abandoned were neither: they come again when their leases end.
	Abandoned int64         `json:"abandoned"`
	Took      time.Duration `json:"took_ns"` // from the begin of the stop to the task's end
	Ended     bool          `json:"ended"`   // false for one that was left behind
}

// drained is nil for a task that had ended before.
func (l *life) drained(began, now time.Time) *Drained {
	report, _ := l.report()
	m := l.Metrics()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over && l.end.Before(began) {
		return nil
	}
	d := &Drained{Task: l.task.Name(), Abandoned: report.Abandoned, Took: now.Sub(began), Ended: l.over}
	if l.over {
		d.Took = l.end.Sub(began)
	}
	for _, t := range m.Transactions {
		switch t.Outcome {
		case engine.Succeeded, engine.Dead, engine.Deferred, engine.Merged:
			d.Finished += t.Drained
		case engine.Released:
			d.Released += t.Drained
		case engine.Lost:
			d.Lost += t.Drained
		case engine.Abandoned: // the report has them, and those that never ended
		}
	}
	return d
}
