package bus

import "context"

// room is a Publisher's share of the slots: its window, and who waits for a place in it.
//
// Who finds no place is woken in a chain, first come first served: a slot
// that comes free wakes at most one, and that one, once it runs, wakes the next if there is
// more. What comes free meanwhile it may take itself for its next messages. Handed to
// whoever waits, each slot would cost a switch, and with many tasks each message would be
// another one's than the one before.
//
// All rooms of a connection have one lock, that of the slots: a message takes a place and a
// slot together.
type room struct {
	slots   *slots
	size    int
	taken   int
	head    *waiter // who has waited longest
	tail    *waiter
	waking  bool // one was given a slot and has not run yet
	shut    bool // nothing is handed out any more
	current *era
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

func newRoom(s *slots, size int) *room {
	return &room{slots: s, size: size, current: &era{over: make(chan struct{})}}
}

// take waits for a slot until ctx ends (ctx's error) or the room is closed (ErrClosed).
func (r *room) take(ctx context.Context) (uint32, error) {
	r.slots.mu.Lock()
	if r.shut {
		r.slots.mu.Unlock()
		return 0, ErrClosed
	}
	if r.some() {
		i := r.pop()
		r.slots.mu.Unlock()
		return i, nil
	}
	w := &waiter{given: make(chan struct{}, 1)}
	r.enqueue(w)
	r.slots.mu.Unlock()
	select {
	case <-w.given:
	case <-ctx.Done():
	}
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
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
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	r.back(i)
}

// back is put for a caller that holds the lock.
func (r *room) back(i uint32) {
	s := r.slots.at(uint64(i))
	e := s.era
	s.era = nil
	r.slots.push(i)
	r.taken--
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

// some reports whether there is a place.
func (r *room) some() bool { return r.taken < r.size }

func (r *room) pop() uint32 {
	i := r.slots.pop()
	r.slots.at(uint64(i)).era = r.current
	r.current.open++
	r.taken++
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

// used is how many places are taken.
func (r *room) used() int {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	return r.taken
}

// flush returns a channel that is closed once every slot that is taken now was put back.
func (r *room) flush() <-chan struct{} {
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
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
	r.slots.mu.Lock()
	defer r.slots.mu.Unlock()
	r.shut = true
	for w := r.head; w != nil; w = w.next {
		w.refused = true
		w.given <- struct{}{}
	}
	r.head, r.tail = nil, nil
}
