package bus

import (
	"context"
	"sync"
)

// room hands out the numbers of a Publisher's free slots.
//
// What was freed first is taken first: what was freed last is still in the caches of
// another core. But a number that was never taken is taken only while no other is free: so
// what a Publisher has touched is as much as it has needed at a time.
//
// Who finds nothing free is woken in a chain, first come first served: a slot
// that comes free wakes at most one, and that one, once it runs, wakes the next if there is
// more. What comes free meanwhile it may take itself for its next messages. Handed to
// whoever waits, each slot would cost a switch, and with many tasks each message would be
// another one's than the one before.
type room struct {
	mu      sync.Mutex
	free    []uint32 // a ring
	made    int      // numbers that were ever taken, and the first few: all below it
	first   int      // of those that are free
	left    int      // how many those are
	head    *waiter  // who has waited longest
	tail    *waiter
	waking  bool // one was given a slot and has not run yet
	shut    bool // nothing is handed out any more
	current *era
	eras    []*era // in which each slot was taken
}

// waiter is a call that waits for a slot.
type waiter struct {
	before, next *waiter
	given        chan struct{} // has room for one; only one is ever sent
	slot         uint32        // valid once given
	has, refused bool
}

// era is the time between two flushes. It is over once all that was taken in it, and
// before it, was put back.
type era struct {
	open  int  // taken and not put back, and one for the era before
	ended bool // it is not the current one any more
	over  chan struct{}
	after *era
}

func newRoom(size int) *room {
	r := &room{free: make([]uint32, size), eras: make([]*era, size), current: &era{over: make(chan struct{})}}
	r.left = min(slotChunk, size)
	r.made = r.left
	for i := range r.made {
		r.free[i] = uint32(i)
	}
	return r
}

// take waits for a slot until ctx ends (ctx's error) or the room is closed (ErrClosed).
func (r *room) take(ctx context.Context) (uint32, error) {
	r.mu.Lock()
	if r.shut {
		r.mu.Unlock()
		return 0, ErrClosed
	}
	if r.some() {
		i := r.pop()
		r.mu.Unlock()
		return i, nil
	}
	w := &waiter{given: make(chan struct{}, 1)}
	r.enqueue(w)
	r.mu.Unlock()
	select {
	case <-w.given:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case w.refused:
		return 0, ErrClosed
	case !w.has:
		r.remove(w)
		return 0, ctx.Err()
	}
	r.waking = false
	r.wake()
	return w.slot, nil
}

// put gives a slot back.
func (r *room) put(i uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back(i)
}

// back is put for a caller that holds the lock.
func (r *room) back(i uint32) {
	last := r.first + r.left
	if last >= len(r.free) {
		last -= len(r.free)
	}
	r.free[last] = i
	r.left++
	e := r.eras[i]
	r.eras[i] = nil
	e.open--
	r.end(e)
	r.wake()
}

// wake gives a slot to who has waited longest, unless one is being woken. The caller
// holds the lock.
func (r *room) wake() {
	w := r.head
	if w == nil || r.waking || !r.some() {
		return
	}
	r.remove(w)
	r.waking = true
	w.slot, w.has = r.pop(), true
	w.given <- struct{}{}
}

// some reports whether a number can be taken.
func (r *room) some() bool { return r.left > 0 || r.made < len(r.free) }

func (r *room) pop() uint32 {
	i := uint32(r.made)
	if r.left == 0 {
		r.made++
	} else {
		i = r.free[r.first]
		r.left--
		if r.first++; r.first == len(r.free) {
			r.first = 0
		}
	}
	r.eras[i] = r.current
	r.current.open++
	return i
}

func (r *room) enqueue(w *waiter) {
	w.before = r.tail
	if r.tail == nil {
		r.head = w
	} else {
		r.tail.next = w
	}
	r.tail = w
}

func (r *room) remove(w *waiter) {
	if w.before == nil {
		r.head = w.next
	} else {
		w.before.next = w.next
	}
	if w.next == nil {
		r.tail = w.before
	} else {
		w.next.before = w.before
	}
}

// used is how many slots are taken.
func (r *room) used() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made - r.left
}

// flush returns a channel that is closed once every slot that is taken now was put back.
func (r *room) flush() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.current
	r.current = &era{over: make(chan struct{}), open: 1}
	e.ended, e.after = true, r.current
	r.end(e)
	return e.over
}

// end ends an era that waits for nothing, and with it those after it that waited for it
// alone. The caller holds the lock.
func (r *room) end(e *era) {
	for e != nil && e.ended && e.open == 0 {
		close(e.over)
		if e = e.after; e != nil {
			e.open--
		}
	}
}

// close refuses whoever waits or comes.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
	for w := r.head; w != nil; w = w.next {
		w.refused = true
		w.given <- struct{}{}
	}
	r.head, r.tail = nil, nil
}
