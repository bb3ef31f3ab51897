package engine

import (
	"context"
	"errors"
	"time"

	"github.com/ergon-framework/ergon"
)

// The sweeper looks at everything held at least this often, and at most that.
const (
	sweepLeast = 20 * time.Millisecond
	sweepMost  = 500 * time.Millisecond
)

// sweep keeps every lease and ends the sends that got no answer. There is one
// for the engine and no timer per delivery: most deliveries are settled before
// the first sweep would see them.
func (e *Engine) sweep(ctx context.Context) {
	timer := time.NewTimer(e.sweepEvery())
	defer timer.Stop()
	var all []*flight
	var over surplus
	e.pulse.beat(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.shorter:
			timer.Reset(e.sweepEvery())
		case now := <-timer.C:
			all = e.guard.all(all[:0])
			for _, f := range all {
				f.expire(now)
				f.checkStuck(now)
				f.extend(ctx, now)
			}
			clear(all)
			over.release(e, now)
			e.runq.trim()
			e.sendq.trim()
			e.watchHealth()
			e.pulse.beat(now)
			timer.Reset(e.sweepEvery())
		}
	}
}

// sweepEvery is a sixth of the shortest lease seen: a lease is renewed at a
// third, so a renewal that failed is tried again before two thirds are over.
func (e *Engine) sweepEvery() time.Duration {
	lease := time.Duration(e.shortest.Load())
	if lease <= 0 {
		return sweepMost
	}
	return min(max(lease/6, sweepLeast), sweepMost)
}

// leased notes the shortest lease, and tells the sweeper, whose next sweep would
// come too late for it. The fetch loop calls it, and nobody else.
func (e *Engine) leased(lease time.Duration) {
	if old := e.shortest.Load(); lease <= 0 || old != 0 && old <= int64(lease) {
		return
	}
	e.shortest.Store(int64(lease))
	select {
	case e.shorter <- struct{}{}:
	default:
	}
}

// extend renews the lease when it is due. The source says when it is lost.
func (f *flight) extend(ctx context.Context, now time.Time) {
	f.mu.Lock()
	due := !f.extendAt.IsZero() && !now.Before(f.extendAt)
	d := f.delivery
	f.mu.Unlock()
	if !due {
		return
	}
	err := extendSafely(ctx, d)
	lost := errors.Is(err, ergon.ErrLeaseLost)
	f.mu.Lock()
	switch {
	case f.delivery != d || f.extendAt.IsZero():
		lost = false // replaced or settled meanwhile
	case lost && f.try != nil && !f.overdue:
		// It may be settled, and the answer on its way: it has a lease's time.
		lost, f.overdue = false, true
		f.extendAt = now.Add(f.info.Lease)
	case err == nil:
		f.extendAt = now.Add(f.info.Lease / 3)
	}
	f.mu.Unlock()
	if lost {
		f.e.leaseLost(f)
	}
}

func extendSafely(ctx context.Context, d ergon.Delivery) (err error) {
	defer ergon.Recover(&err)
	return d.Extend(ctx)
}

// leaseLost ends what somebody else has by now. A settlement that was never
// answered has nobody else to end it.
func (e *Engine) leaseLost(f *flight) {
	unanswered := f.lose()
	e.emit(LeaseLost{Place: f.wholeFor(), Task: e.task.name, Transaction: f.raw})
	if unanswered != nil {
		unanswered.done(ergon.ErrLeaseLost)
	}
}
