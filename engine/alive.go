package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// watchdogAfter is how long the engine's own goroutines may show no sign of life.
const watchdogAfter = 30 * time.Second

// pulse is the sweeper's sign of life.
type pulse struct{ at atomic.Int64 } // in nanoseconds since the epoch, 0 before the first

func (p *pulse) beat(now time.Time) { p.at.Store(now.UnixNano()) }

// Alive returns nil unless only a new process can help: the engine's own goroutines
// stand still, or every slot and its replacement is taken by a task that ignores its
// cancelled context. That a bus is away or a backlog grows is no reason: see Health.
// It may be called at any time, from any goroutine.
func (e *Engine) Alive() error {
	if n := e.stranded.Load(); n > int64(e.policy.Loop.Concurrency) {
		return fmt.Errorf("task %q: %d attempts do not return: %w", e.task.name, n, ErrStuck)
	}
	at := e.pulse.at.Load()
	if at == 0 || e.over.Load() {
		return nil
	}
	if since := time.Since(time.Unix(0, at)); since > watchdogAfter {
		return fmt.Errorf("task %q: its leases were last looked after %s ago: %w", e.task.name, since.Round(time.Second), errStandstill)
	}
	return nil
}

var errStandstill = errors.New("the engine stands still: restart the process")
