package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// runq hands flights to workers, first come first served. It is unbounded and
// its push never blocks, because it is called from connectors' callbacks; what
// bounds it is the loop, which fetches no more than there is room for.
//
// Workers are woken in a chain: a push wakes at most one, and that one, once it
// has taken its flight, wakes the next if there is more. With tasks that wait
// the chain brings all workers up within microseconds; with tasks that only
// compute the first worker is back before the next has started, and a few do
// all the work. A channel would hand each flight of a batch to another sleeping
// worker instead, and pay a switch for each.
type runq struct {
	mu         sync.Mutex
	head, tail *flight
	idle       []*worker      // parked workers, the last one first: its stack is warm
	waking     bool           // a worker was woken and has not looked yet
	workers    int            // started
	most       int            // how many there may be
	slots      int            // how many there may be while none is stuck
	start      func()         // starts one worker
	freed      func(load int) // told of each slot that became free; must not block
	closed     bool
	crew       crew

	queued  int // flights in the queue
	running int // flights with a worker
	load    atomic.Int64
}

// push queues a flight.
func (q *runq) push(f *flight) {
	q.mu.Lock()
	q.append(f)
	q.wake()
	q.mu.Unlock()
}

// pushAll queues a batch under one lock.
func (q *runq) pushAll(fs []*flight) {
	if len(fs) == 0 {
		return
	}
	q.mu.Lock()
	for _, f := range fs {
		q.append(f)
	}
	q.wake()
	q.mu.Unlock()
}

func (q *runq) append(f *flight) {
	f.next = nil
	if q.tail == nil {
		q.head = f
	} else {
		q.tail.next = f
	}
	q.tail = f
	q.queued++
	q.load.Add(1)
}

// wake gets one worker going if there is work and none is on its way. The
// caller holds the lock.
func (q *runq) wake() {
	if q.waking || q.head == nil {
		return
	}
	if q.crew.enough(q.running) {
		q.crew.watch(q.stalled)
		return
	}
	if n := len(q.idle); n > 0 {
		w := q.idle[n-1]
		q.idle = q.idle[:n-1]
		q.waking = true
		w.parked <- struct{}{} // it has room for one, and only one is ever sent
		return
	}
	if q.workers < q.most {
		q.workers++
		q.waking = true
		q.start()
	}
}

// next returns the next flight, and parks the worker until there is one. It
// returns nil when the queue is closed. fresh is true at the worker's first call.
func (q *runq) next(w *worker, fresh bool) *flight {
	q.mu.Lock()
	if fresh {
		q.waking = false
	} else {
		q.crew.returned(w)
		q.idled()
		if q.workers > q.most { // its slot was given away while its code was stuck
			q.workers--
			q.wake()
			q.mu.Unlock()
			return nil
		}
	}
	for q.head == nil {
		if q.closed || w.dismissed {
			q.workers--
			q.mu.Unlock()
			return nil
		}
		q.idle = append(q.idle, w)
		q.mu.Unlock()
		<-w.parked
		if w.lastInLine {
			runtime.Gosched()
		}
		q.mu.Lock()
		if !w.dismissed { // otherwise another one is being woken, or none
			q.waking = false
		}
	}
	f := q.head
	q.head = f.next
	if q.head == nil {
		q.tail = nil
	}
	f.next = nil
	q.queued--
	q.running++
	q.crew.took(w)
	q.wake()
	q.mu.Unlock()
	return f
}

// trim ends half of the idle workers that are too many by now: those that parked while
// attempts were long. The sweeper calls it; ended as soon as there is nothing to do,
// they would be started again a moment later, and a start costs more than an attempt.
func (q *runq) trim() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || !q.crew.few() {
		return
	}
	over := len(q.idle) - q.crew.cores
	for _, w := range q.idle[:max(over+1, 0)/2] {
		w.dismissed = true
		w.parked <- struct{}{}
	}
	q.idle = q.idle[max(over+1, 0)/2:]
}

// idled counts a slot as free. The caller holds the lock.
func (q *runq) idled() {
	q.running--
	q.freed(int(q.load.Add(-1)))
}

// stalled is the crew's timer: it looks whether anything was begun since it was
// set.
func (q *runq) stalled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.crew.stalled(q.running, q.head != nil && !q.closed) {
		q.wake()
		q.freed(0) // more may run than the loop has fetched for
	}
}

// strand gives the slot of a worker whose code does not return to another. It
// refuses once there are as many stuck workers as slots.
func (q *runq) strand() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.most >= 2*q.slots {
		return false
	}
	q.most++
	q.idled()
	q.wake()
	return true
}

// unstrand takes the slot back for a worker whose code returned after all.
func (q *runq) unstrand(replaced bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if replaced {
		q.most--
		q.running++
		q.load.Add(1)
	}
}

// loads is how many flights are queued and running.
func (q *runq) loads() (queued, running int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queued, q.running
}

// usual is how long most attempts took at most lately, and whether that is so short that
// few workers do them all. Until some were seen that is not known, and they are taken for
// long.
func (q *runq) usual() (usual time.Duration, few, known bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.crew.known < crewLeast {
		return time.Second, false, false
	}
	return q.crew.usual, q.crew.few(), true
}

// begun is how many attempts there were so far.
func (q *runq) begun() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.crew.begun
}

// lasting takes note that nothing was begun for a while, and returns how many wait
// all the same.
func (q *runq) lasting(d time.Duration) (queued int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queued > 0 {
		q.crew.lasts(d)
	}
	return q.queued
}

// takeUnstarted removes the flights that no worker has begun with, but for the
// first few.
func (q *runq) takeUnstarted(but int) []*flight {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken, kept []*flight
	for f := q.head; f != nil; f = f.next {
		if f.step != stepStart {
			kept = append(kept, f)
		} else if but--; but < 0 {
			taken = append(taken, f)
		} else {
			kept = append(kept, f)
		}
	}
	q.load.Add(int64(-q.queued))
	q.head, q.tail, q.queued = nil, nil, 0
	for _, f := range kept {
		q.append(f)
	}
	return taken
}

// close ends every worker once the queue is empty.
func (q *runq) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.crew.stop()
	for _, w := range q.idle {
		w.parked <- struct{}{}
	}
	q.idle = nil
}
