package engine

import (
	"context"
	"errors"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// take is the fetch loop. It ends with nil when ctx ended, the limit is reached
// or, without streaming, the source is drained; with an error when fetching
// failed for good.
func (e *Engine) take(ctx context.Context) error {
	empties := 0
	for {
		room, few, done := e.room()
		if room == 0 && !done {
			e.hungry.Store(true) // before the last look: what becomes free after it is heard of
			if room, few, done = e.room(); room == 0 && !done {
				e.wait(ctx, e.wake, e.refill())
			}
			e.hungry.Store(false)
		}
		if few {
			e.hungry.Store(true)
			e.wait(ctx, e.wake, refillWait)
			e.hungry.Store(false)
			room, _, done = e.room()
		}
		switch {
		case ctx.Err() != nil || done:
			return nil
		case room == 0:
			continue
		}
		if d := e.open(); d > 0 {
			e.wait(ctx, nil, d) // what is fetched now would only wait for the breaker
			continue
		}
		turn, waited := e.turn(ctx)
		if waited {
			room, _, done = e.room() // there is more by now, and a turn is best used well
		}
		if room == 0 || done || ctx.Err() != nil {
			turn.done()
			continue
		}
		e.askAhead()
		before := e.held.Load()
		deliveries, record, err := e.fetch(ctx, room)
		if len(deliveries) > 0 && (err == nil || errors.Is(err, ergon.ErrDrained)) {
			e.admit(deliveries, record, room, turn)
		}
		turn.done()
		switch {
		case ctx.Err() != nil && len(deliveries) == 0:
			return nil
		case err != nil && !errors.Is(err, ergon.ErrDrained):
			return err
		case len(deliveries) > 0:
			empties = 0
			continue
		}
		e.stats.empties.Add(1)
		if !e.policy.Loop.Streaming {
			if before == 0 {
				return nil
			}
			// What was held at the time may come back: it has to end first.
			e.wait(ctx, e.wake, e.policy.Fetch.Empty.Delay(0))
			continue
		}
		e.waitEmpty(ctx, e.policy.Fetch.Empty.Delay(empties))
		empties++
	}
}

// open is how long a circuit breaker keeps transactions from getting through.
func (e *Engine) open() time.Duration {
	longest := time.Duration(0)
	for _, p := range e.phases[stepProcess:] {
		longest = max(longest, p.Open())
	}
	return longest
}

// refillWait is how long a slot may stay idle, where the window is full, for a fetch
// that brings more.
const refillWait = 5 * time.Millisecond

// places are how many of the window's have to be free for a fetch: what comes back is
// fetched for together and not one by one.
func (e *Engine) places() int { return max(1, e.policy.Loop.Window/16) }

// refill is how long a loop that has no room waits to be told of some, 0 for as long
// as it takes. Where the window is full it looks by itself: fewer places may become
// free than it is told of.
func (e *Engine) refill() time.Duration {
	if int(e.held.Load()) > e.policy.Loop.Window-e.places() {
		return refillWait
	}
	return 0
}

// room is how many deliveries to ask for now; done says that the limit leaves
// none, for good. Refilling waits until half of the prefetch is used up: what is
// prefetched keeps the slots busy meanwhile, and fetching one at a time would
// cost more than the work. When the window leaves room for less while a slot is
// idle it is few: that is worth a fetch too, for what fills the window may be
// transactions that wait out a long backoff.
func (e *Engine) room() (room int, few, done bool) {
	loop := e.policy.Loop
	held, load := int(e.held.Load()), int(e.runq.load.Load())
	slots, prefetch, _ := e.ahead()
	room = min(e.policy.Fetch.Batch.Size, slots+prefetch-load, loop.Window-held)
	need := min(max(1, prefetch/2), e.policy.Fetch.Batch.Size)
	e.lowLoad.Store(int64(slots + prefetch - need))
	if loop.Mode == policy.ModeBatch {
		need = 1
		if held > 0 {
			room = 0 // the whole batch first
		}
	}
	if loop.Limit > 0 {
		left := loop.Limit - e.admitted.Load()
		if left <= 0 {
			// A delivery that was admitted and never ran gives its place back, so
			// the limit is reached only once nothing is held.
			return 0, false, held == 0
		}
		room = int(min(int64(room), left))
		need = int(min(int64(need), left))
	}
	switch {
	case room >= need, room >= e.places() && load < slots:
		return room, false, false
	case room > 0 && load < slots:
		return room, true, false
	}
	return 0, false, false
}

// slotFreed tells the loop, if there is anything in it for it: it is woken once
// for a batch of places and not for each.
func (e *Engine) slotFreed(load int) {
	if e.hungry.Load() && int64(load) <= e.lowLoad.Load() && e.placesFree(e.held.Load()) {
		e.signal()
	}
}

// placeFreed tells the loop, or the stop, that held is one less.
func (e *Engine) placeFreed(held int64) {
	if held == 0 || e.hungry.Load() && e.runq.load.Load() <= e.lowLoad.Load() && e.placesFree(held) {
		e.signal()
	}
}

func (e *Engine) placesFree(held int64) bool {
	return int64(e.policy.Loop.Window)-held >= int64(e.places())
}

// wait returns when c receives, after d (0 is never) or when ctx ends.
func (e *Engine) wait(ctx context.Context, c <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-c:
	case <-after:
	case <-ctx.Done():
	}
}

// waitEmpty is the pause after an empty fetch, cut short when data arrives.
func (e *Engine) waitEmpty(ctx context.Context, d time.Duration) {
	var ready <-chan struct{} // nil blocks for ever
	if r, ok := e.in.(ergon.Readier); ok {
		ready = r.Ready()
	}
	e.wait(ctx, ready, d)
}

// admit takes deliveries into the engine. A source that gave more than it was
// asked for has the surplus released: not run, and not lost.
func (e *Engine) admit(deliveries []ergon.Delivery, record *FetchRecord, room int, turn *turn) {
	now := time.Now()
	e.stats.fetches.Add(1)
	e.stats.fetched.Add(int64(len(deliveries)))
	e.stats.batch.record(len(deliveries))
	if e.tells(true) {
		e.observe(Fetched{Task: e.task.name, Count: len(deliveries)})
	}
	run := make([]*flight, 0, len(deliveries))
	for i, d := range deliveries {
		f := newFlight(e, d, now)
		f.fetched, f.turn = record, turn
		turn.add() // before somebody else can end it
		if f.info.Deliveries > 1 {
			e.stats.redelivered.Add(1)
		}
		e.leased(f.info.Lease)
		e.held.Add(1)
		e.admitted.Add(1)
		switch e.guard.admit(f, i >= room) {
		case admittedRun:
			if e.cleared(f) {
				run = append(run, f)
			}
		case admittedWait:
		case admittedMerged:
			e.admitted.Add(-1)
			e.stats.outcomes[Merged.index()].ended[resultOK].Add(1)
			e.held.Add(-1)
			turn.done()
		case admittedSurplus:
			f.release()
		}
	}
	e.runq.pushAll(run)
}

// waited decides what becomes of a flight whose ID was taken by one that ended
// now.
func (e *Engine) waited(next, before *flight, outcome Outcome) {
	same := next.info.Stored != "" && next.info.Stored == before.info.Stored
	switch {
	case next.isLost():
		next.finish(Lost)
	case same && (outcome == Succeeded || outcome == Dead || outcome == Deferred):
		next.acknowledge(Merged)
	case e.stopping.Load():
		next.release()
	case e.cleared(next):
		e.runq.push(next)
	}
}
