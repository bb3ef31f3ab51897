package engine

import (
	"sync"

	"github.com/ergon-framework/ergon"
)

// guard keeps two workers from one transaction ID (RFC-000 §6.4). It holds
// every flight of the engine, so it is also the register that the sweeper walks.
//
// A second delivery of the same stored message takes the first one's place: its
// lease is the newer one, so the outcome is settled on it and the older
// delivery is dropped. A different message with the same ID waits for the first
// to end and then runs. Waiting costs a place in the window, not a slot.
type guard struct {
	mu sync.Mutex
	m  map[txKey]*flight
}

// txKey is what makes a transaction this one: an ID is unique within its
// source.
type txKey struct{ source, id string }

func keyOf(tx ergon.Raw) txKey { return txKey{tx.Source(), tx.ID()} }

// admitted is what became of a delivery at the guard.
type admitted int

const (
	admittedRun     admitted = iota // it is the only one: run it
	admittedWait                    // it waits behind another message with its ID
	admittedMerged                  // it replaced an older delivery of the same message
	admittedSurplus                 // it is more than was asked for: give it back
)

// admit registers a delivery, unless it is surplus: that one is given back by its
// caller, and would be run by whoever ended before it if it waited here meanwhile.
func (g *guard) admit(f *flight, surplus bool) admitted {
	g.mu.Lock()
	defer g.mu.Unlock()
	head, taken := g.m[f.id]
	if stored := f.info.Stored; taken && stored != "" {
		if head.info.Stored == stored && head.replaceDelivery(f) {
			return admittedMerged
		}
		for _, w := range head.waiters {
			if w.info.Stored == stored && w.replaceDelivery(f) {
				return admittedMerged
			}
		}
	}
	switch {
	case surplus:
		return admittedSurplus
	case !taken:
		g.m[f.id] = f
		return admittedRun
	}
	head.waiters = append(head.waiters, f)
	return admittedWait
}

// leave removes a flight that ended and returns the one that waited for it.
func (g *guard) leave(f *flight) (next *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	head := g.m[f.id]
	if head == nil {
		return nil
	}
	if head != f {
		for i, w := range head.waiters { // it gave up waiting
			if w == f {
				head.waiters = append(head.waiters[:i], head.waiters[i+1:]...)
				break
			}
		}
		return nil
	}
	if len(f.waiters) == 0 {
		delete(g.m, f.id)
		return nil
	}
	next = f.waiters[0]
	next.waiters, f.waiters = f.waiters[1:], nil
	g.m[f.id] = next
	return next
}

// takeWaiting removes every flight that waits for another.
func (g *guard) takeWaiting() []*flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []*flight
	for _, head := range g.m {
		taken = append(taken, head.waiters...)
		head.waiters = nil
	}
	return taken
}

// all appends every flight, waiting ones too.
func (g *guard) all(to []*flight) []*flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, head := range g.m {
		to = append(to, head)
		to = append(to, head.waiters...)
	}
	return to
}
