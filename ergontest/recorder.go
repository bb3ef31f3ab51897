package ergontest

import (
	"slices"
	"sync"

	"github.com/ergon-framework/ergon/engine"
)

// Recorder keeps the events of an engine, in the order in which they came: its Observe is
// for [Settings], or for engine.Config. The zero value is empty. It is safe for concurrent
// use.
type Recorder struct {
	mu     sync.Mutex
	events []engine.Event
}

// Observe keeps an event.
func (r *Recorder) Observe(ev engine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, ev)
}

// All are the events so far.
func (r *Recorder) All() []engine.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Of are the events of one type so far: Of[engine.RetryScheduled](r).
func Of[E engine.Event](r *Recorder) []E {
	var found []E
	for _, ev := range r.All() {
		if e, ok := ev.(E); ok {
			found = append(found, e)
		}
	}
	return found
}
