package engine

import (
	"slices"
	"sync"
)

// guard keeps two workers from one transaction ID (RFC-000 §6.4). It holds
// every flight of the engine, so it is also the register that the sweeper walks.
//
// A second delivery of the same stored message takes the first one's place: its
// lease is the newer one, so the outcome is settled on it and the older
// delivery is dropped. A different message with the same ID waits for the first
// to end and then runs. Waiting costs a place in the window, not a slot.
type guard struct {
	mu      sync.Mutex
	m       map[txKey]*flight
	waiting map[txKey][]*flight // behind those; hardly ever any
}

// txKey is what makes a transaction this one: an ID is unique within its
// source.
type txKey struct{ source, id string }

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
	key := f.key()
	head, taken := g.m[key]
	if stored := f.info.Stored; taken && stored != "" {
		if head.info.Stored == stored && head.replaceDelivery(f) {
			return admittedMerged
		}
		for _, w := range g.waiting[key] {
			if w.info.Stored == stored && w.replaceDelivery(f) {
				return admittedMerged
			}
		}
	}
	switch {
	case surplus:
		return admittedSurplus
	case !taken:
		g.m[key] = f
		return admittedRun
	}
	if g.waiting == nil {
		g.waiting = make(map[txKey][]*flight)
	}
	g.waiting[key] = append(g.waiting[key], f)
	return admittedWait
}

// leave removes a flight that ended and returns the one that waited for it.
func (g *guard) leave(f *flight) (next *flight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := f.key()
	head, behind := g.m[key], g.waiting[key]
	switch {
	case head == nil:
		return nil
	case head != f: // it gave up waiting
		g.wait(key, slices.DeleteFunc(behind, func(w *flight) bool { return w == f }))
		return nil
	case len(behind) == 0:
		delete(g.m, key)
		return nil
	}
	next = behind[0]
	g.m[key] = next
	g.wait(key, behind[1:])
	return next
}

// wait sets who waits for a key.
func (g *guard) wait(key txKey, behind []*flight) {
	if len(behind) == 0 {
		delete(g.waiting, key)
		return
	}
	g.waiting[key] = behind
}

// takeWaiting removes every flight that waits for another.
func (g *guard) takeWaiting() []*flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	var taken []*flight
	for _, behind := range g.waiting {
		taken = append(taken, behind...)
	}
	clear(g.waiting)
	return taken
}

// all appends every flight, waiting ones too.
func (g *guard) all(to []*flight) []*flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, head := range g.m {
		to = append(to, head)
	}
	for _, behind := range g.waiting {
		to = append(to, behind...)
	}
	return to
}
