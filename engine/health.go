package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/ergon-framework/ergon"
)

// health is what keeps the engine from its work, as far as it knows by itself.
type health struct {
	mu        sync.Mutex
	fetch     error // of the fetches that are tried again
	settle    error // of the settlements that are
	unsettled int   // how many of those there are
	told      string
}

func (h *health) fetched(err error) {
	h.mu.Lock()
	h.fetch = err
	h.mu.Unlock()
}

// unsettle counts a flight whose settlement failed; the first failure counts it.
func (h *health) unsettle(kind ergon.SettleKind, first bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first {
		h.unsettled++
	}
	what := "settlements are"
	if kind == ergon.Dead {
		what = "dead letters can't be stored, their transactions are kept, and this is"
	}
	h.settle = fmt.Errorf("%s tried again: %w", what, err)
}

func (h *health) settled() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unsettled--; h.unsettled == 0 {
		h.settle = nil
	}
}

// Health returns nil while the engine makes progress, or could if there were work,
// and otherwise everything that keeps it from that: a fetch or a settlement that
// fails, an open circuit breaker, and what its source and its sinks report
// (ergon.HealthReporter). It may be called at any time, from any goroutine.
func (e *Engine) Health() error {
	e.health.mu.Lock()
	errs := []error{e.health.fetch, e.health.settle}
	e.health.mu.Unlock()
	if d := e.open(); d > 0 {
		errs = append(errs, errors.New("a circuit breaker is open: nothing new is fetched"))
	}
	if r, ok := e.in.(ergon.HealthReporter); ok {
		errs = append(errs, r.Health())
	}
	for name, route := range e.routes {
		if r, ok := route.sink.(ergon.HealthReporter); ok {
			if err := r.Health(); err != nil {
				errs = append(errs, fmt.Errorf("route %q: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Lag is what the source still has, where it knows (ergon.LagReporter).
func (e *Engine) Lag() ergon.Lag {
	if r, ok := e.in.(ergon.LagReporter); ok {
		return r.Lag()
	}
	return ergon.Lag{}
}

// watchHealth emits an event when health changed. The sweeper calls it.
func (e *Engine) watchHealth() {
	err := e.Health()
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.health.mu.Lock()
	changed := (text == "") != (e.health.told == "")
	if changed {
		e.health.told = text
	}
	e.health.mu.Unlock()
	if changed {
		e.emit(HealthChanged{Task: e.task.name, Err: err})
	}
}
