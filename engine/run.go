package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// settleReserve is how long, after the grace, cancelled attempts may return,
// outputs on their way be confirmed and settlements be taken; and again how
// long source and sinks may take to close. A supervisor must allow
// StopTime before it kills.
const settleReserve = 5 * time.Second

// lastReserve is for giving back what even that was too short for.
const lastReserve = time.Second

// abortReserve is what an aborted stop has instead of either, and for closing: whoever
// aborts wants the end now, and code that honours its context needs no longer. With
// three of them an aborted Run returns well within a second.
const abortReserve = 200 * time.Millisecond

// StopTime is how long Run may take after its context ended, under a policy.
func StopTime(p policy.Shutdown) time.Duration {
	return p.Grace.D() + settleReserve + lastReserve + settleReserve
}

// Run fetches and processes until ctx ends, the limit is reached or, without
// streaming, the source is drained; then it stops in order, closes the source
// and the sinks, and reports. It is called once.
//
// When ctx ends, fetching stops at once and what never started is given back;
// what runs may finish within shutdown.grace, then it is cancelled and given
// back uncounted. That is no error: the report says what became of everything.
// An error is a fetch that failed for good, [ErrLoopTimeout], [ErrStuck], or a
// close that failed.
func (e *Engine) Run(ctx context.Context) (Report, error) {
	if !e.ran.CompareAndSwap(false, true) {
		return Report{}, fmt.Errorf("task %q: an engine runs once: make a new one", e.task.name)
	}
	began := time.Now()
	// What runs is not cancelled by ctx: a stop lets it finish.
	base := context.WithoutCancel(ctx)
	e.work, e.cancelWork = context.WithCancelCause(base)
	e.publishing, e.cancelPublishing = context.WithCancelCause(base)
	e.settling, e.cancelSettling = context.WithCancelCause(base)
	taking, breakOff := context.WithCancelCause(ctx)
	stopTaking := func() { breakOff(nil) }
	e.breakOff = breakOff
	if d := e.policy.Loop.Timeout.D(); d > 0 {
		timed, stop := context.WithTimeoutCause(taking, d, ErrLoopTimeout)
		defer stop()
		taking = timed
	}
	sweeping, stopSweeping := context.WithCancel(base)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { e.sweep(sweeping) })

	err := e.take(taking)
	e.stop(taking)
	if cause := context.Cause(taking); errors.Is(cause, ErrLoopTimeout) || errors.Is(cause, ErrStuck) {
		err = errors.Join(cause, err)
	}
	stopTaking()

	abandoned := e.held.Load()
	ids := e.heldIDs()
	e.cancelWork(errStopping)
	e.cancelPublishing(errStopping)
	e.cancelSettling(errStopping)
	e.over.Store(true)
	stopSweeping()
	sweeper.Wait()
	e.runq.close()
	e.sendq.close()
	if abandoned == 0 && e.stranded.Load() == 0 {
		// Every flight ended, so every goroutine is on its way out. One that was
		// abandoned may never be: it is user code that ignores its context.
		e.goes.Wait()
		e.pool.Wait()
	}
	err = errors.Join(err, e.close(base))
	report := e.report(time.Since(began), abandoned)
	e.emit(Ended{Task: e.task.name, Report: report, Err: err, Abandoned: ids})
	return report, err
}

// Abort cuts a stop short: what runs is cancelled now, and Run returns once it has
// been given back, or after 600 ms, with what still was not as abandoned. Only a
// source or a sink whose Close ignores its context can keep it for longer. It is for
// a second signal: by itself it stops nothing. It may be called at any time, from any
// goroutine, and more than once.
func (e *Engine) Abort() { e.aborting.Do(func() { close(e.abort) }) }

// stop brings everything held to its end. taking is the context that ended, or
// may still end, fetching.
func (e *Engine) stop(taking context.Context) {
	// Without a stop from outside (drained, limit reached, fetch failed) what is
	// held is worked off as long as it takes.
	if !e.ends(taking.Done(), 0) {
		return
	}
	e.stopping.Store(true)
	e.emit(Stopping{Task: e.task.name, Held: int(e.held.Load())})
	for _, f := range slices.Concat(e.runq.takeUnstarted(0), e.guard.takeWaiting(), e.suspects.takeWaiting()) {
		f.release()
	}
	grace := e.policy.Shutdown.Grace.D()
	late := errors.Is(context.Cause(taking), ErrLoopTimeout)
	if late || grace <= 0 || e.ends(nil, grace) {
		e.cancelWork(errStopping)
		if e.endsOrAborted(settleReserve) {
			e.cancelPublishing(errStopping)
			e.cancelSettling(errStopping)
			e.endsOrAborted(lastReserve)
		}
	}
}

// endsOrAborted is ends for the time after the work was cancelled: an abort, before or
// during the wait, leaves abortReserve of it.
func (e *Engine) endsOrAborted(d time.Duration) bool {
	if !e.ends(nil, d) {
		return false
	}
	select {
	case <-e.abort:
		return e.endsWithin(nil, nil, abortReserve)
	default:
		return true
	}
}

// ends waits until nothing is held, and returns false then; or true once c
// receives, d (0 is never) is over, or the stop is aborted.
func (e *Engine) ends(c <-chan struct{}, d time.Duration) bool { return e.endsWithin(c, e.abort, d) }

func (e *Engine) endsWithin(c, abort <-chan struct{}, d time.Duration) bool {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	for e.held.Load() > 0 {
		select {
		case <-e.wake:
		case <-c:
			return true
		case <-after:
			return true
		case <-abort:
			return true
		}
	}
	return false
}

// close closes the source and the sinks, at the same time. A sink that serves
// several routes is closed for each: Close is idempotent, and whether two sinks
// are one can't be asked of every type.
func (e *Engine) close(base context.Context) error {
	ctx, cancel := context.WithTimeout(base, settleReserve)
	defer cancel()
	closed := make(chan struct{})
	defer close(closed)
	go e.cutClose(cancel, closed)
	type closer interface{ Close(context.Context) error }
	closers := map[string]closer{"source": e.in}
	for name, r := range e.routes {
		closers[fmt.Sprintf("sink of route %q", name)] = r.sink
	}
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for what, c := range closers {
		wg.Go(func() {
			err := func() (err error) { defer ergon.Recover(&err); return c.Close(ctx) }()
			if err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("task %q: close %s: %w", e.task.name, what, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// mostIDs is how many of what is abandoned are named.
const mostIDs = 10

// heldIDs are those of what is held. The guard has more: IDs of transactions that were
// given up, whose code has not returned.
func (e *Engine) heldIDs() (ids []string) {
	for _, f := range e.guard.all(nil) {
		f.mu.Lock()
		if !f.over {
			ids = append(ids, f.raw.ID())
		}
		f.mu.Unlock()
	}
	slices.Sort(ids)
	return ids[:min(len(ids), mostIDs)]
}

// cutClose ends a close that goes on abortReserve after an abort.
func (e *Engine) cutClose(cancel context.CancelFunc, closed <-chan struct{}) {
	select {
	case <-closed:
		return
	case <-e.abort:
	}
	t := time.NewTimer(abortReserve)
	defer t.Stop()
	select {
	case <-closed:
	case <-t.C:
		cancel()
	}
}
