package engine

import (
	"slices"
	"sync"

	"github.com/ergon-framework/ergon"
)

// Trail remembers what became of the latest transactions that did not simply do well:
// those of which an attempt failed, and those that did not succeed. It is bounded: the
// oldest are forgotten. It may be shared by several engines and is safe for concurrent
// use.
type Trail struct {
	mu   sync.Mutex
	ring []TraceRecord
	next int // where the next one goes, once the ring is full
	most int
}

// NewTrail returns a trail of at most so many deliveries; below 1 counts as 1. Each
// keeps its transaction without the payload, and its attempts.
func NewTrail(most int) *Trail { return &Trail{most: max(most, 1)} }

func (t *Trail) add(r TraceRecord) {
	// A thousand payloads may be a gigabyte, and nobody asks a trail for them.
	r.Transaction = ergon.With[[]byte, []byte](r.Transaction, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ring) < t.most {
		t.ring = append(t.ring, r)
		return
	}
	t.ring[t.next] = r
	t.next = (t.next + 1) % t.most
}

// Of returns what is remembered of a transaction, by its ID: its deliveries, the
// oldest first.
func (t *Trail) Of(id string) []TraceRecord {
	return t.find(func(r *TraceRecord) bool { return r.Transaction.ID() == id }, t.most)
}

// Dead returns the latest deliveries that ended in the dead-letter store, at most n,
// the oldest first.
func (t *Trail) Dead(n int) []TraceRecord {
	return t.find(func(r *TraceRecord) bool { return r.Outcome == Dead }, n)
}

// find returns the latest n that match, the oldest first.
func (t *Trail) find(match func(*TraceRecord) bool, n int) (found []TraceRecord) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.ring) - 1; i >= 0 && len(found) < n; i-- {
		if r := &t.ring[(t.next+i)%len(t.ring)]; match(r) {
			found = append(found, *r)
		}
	}
	slices.Reverse(found)
	return found
}
