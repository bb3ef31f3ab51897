package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"

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

// Check is one thing that an engine needs for its work.
type Check struct {
	// Part is fetch, settle, breaker PHASE, source, or route NAME.
	Part string
	// Err says what is wrong and what to do; nil if nothing is.
	Err error
}

// Checks are all of them: whether fetches and settlements succeed, whether circuit
// breakers let something through, and what its source and its sinks report
// (ergon.HealthReporter). It may be called at any time, from any goroutine.
func (e *Engine) Checks() []Check {
	e.health.mu.Lock()
	all := []Check{{"fetch", e.health.fetch}, {"settle", e.health.settle}}
	e.health.mu.Unlock()
	for i := stepStart; i < stepSettle; i++ {
		p, name := e.phases[i], string(i.phase())
		if i == stepStart {
			p, name = e.fetchPhase, string(ergon.PhaseFetch)
		}
		if !p.HasBreaker() {
			continue
		}
		var err error
		if i != stepStart && p.Open() > 0 {
			err = errors.New("it is open: nothing new is fetched")
		}
		all = append(all, Check{"breaker " + name, err})
	}
	if r, ok := e.in.(ergon.HealthReporter); ok {
		all = append(all, Check{"source", r.Health()})
	}
	for _, name := range e.routeNames {
		if r, ok := e.routes[name].sink.(ergon.HealthReporter); ok {
			all = append(all, Check{"route " + name, r.Health()})
		}
	}
	return all
}

// Health returns nil while the engine makes progress, or could if there were work,
// and otherwise all that keeps it from that: see Checks. It may be called at any
// time, from any goroutine.
func (e *Engine) Health() error {
	var errs []error
	for _, c := range e.Checks() {
		switch {
		case c.Err == nil:
		case c.Part == "fetch" || c.Part == "settle" || c.Part == "source": // they say so themselves
			errs = append(errs, c.Err)
		default:
			errs = append(errs, fmt.Errorf("%s: %w", c.Part, c.Err))
		}
	}
	return errors.Join(errs...)
}

// lagStale is how old a source's lag may be. A source looks every 10 s; what is older
// is from before its bus went away.
const lagStale = 35 * time.Second

// Lag is what the source still has, where it knows (ergon.LagReporter), and has known
// for no longer than 35 s.
func (e *Engine) Lag() ergon.Lag {
	if r, ok := e.in.(ergon.LagReporter); ok {
		if lag := r.Lag(); time.Since(lag.At) < lagStale {
			return lag
		}
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
