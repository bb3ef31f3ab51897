package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

// goodAfter is how long a task has to be well in a row for its failures to be forgotten.
const goodAfter = time.Minute

// makeWithin bounds the making of an engine for a task that is started again.
const makeWithin = 15 * time.Second

// parts are an engine and what was opened for it alone.
type parts struct {
	engine  *engine.Engine
	source  ergon.Source // the engine closes it, if it ever runs
	lost    func() error // what its source lost, see jetstream.Source.Lost
	closers []func(context.Context) error
}

func (p *parts) close(ctx context.Context) error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i](ctx))
	}
	p.closers = nil
	return errors.Join(errs...)
}

// life is one task from the begin of a run to its end: one engine after the other, for
// an engine runs once. To whom it is shown it is one task, whose counts go on.
type life struct {
	bound
	rules config.Runner
	make  func(context.Context, bound) (*parts, error)
	log   *slog.Logger
	// fatal is told of a failure that the whole run ends for.
	fatal func(error)
	// closed is called when it is over: no other engine follows.
	closed func()

	mu       sync.Mutex
	now      *parts         // the one that runs, or ran last
	ran      bool           // that one has ended, and is in sum
	sum      engine.Report  // of those that have ended
	before   engine.Metrics // of those before now
	restarts int64
	failures int       // in a row
	well     time.Time // since when it is
	failed   error     // why it does not run
	next     time.Time // when it is started again
	over     bool      // it is not
	end      time.Time
	err      error // it ended with
}

// run is the task's life. It ends with ctx, with the task's end in order, or with a
// failure that another engine does not help with.
func (l *life) run(ctx context.Context) {
	defer close(l.ended)
	if l.closed != nil {
		defer l.closed()
	}
	for {
		report, err := l.now.engine.Run(ctx) // only this goroutine replaces it
		if !l.again(ctx, report, err) {
			return
		}
		for !l.restart(ctx) {
			if l.isOver() {
				return
			}
		}
	}
}

// again notes how an engine ended, and says whether another one is to follow.
func (l *life) again(ctx context.Context, report engine.Report, err error) bool {
	lost := l.now.lost()
	l.mu.Lock()
	defer l.mu.Unlock()
	report.Task = l.task.Name()
	l.sum, l.ran = report.Plus(l.sum), true
	fetch, isErgon := errors.AsType[*ergon.Error](err)
	switch {
	case errors.Is(err, engine.ErrStuck): // what is stuck would stay
		l.ends(err, true)
	case ctx.Err() != nil, errors.Is(err, engine.ErrLoopTimeout):
		// It was told to end, by its configuration even; the others go on.
		l.ends(err, false)
	case lost != nil && !l.streams():
		// It is empty, but not since all was done. A new engine would find it empty too,
		// and call that a success.
		l.ends(errors.Join(fmt.Errorf("task %q: %w", l.task.Name(), lost), err), false)
	case isErgon && fetch.Phase == ergon.PhaseFetch:
		return l.fails(err)
	default:
		l.ends(err, false)
	}
	return false
}

// ends is called with mu held.
func (l *life) ends(err error, fatal bool) {
	l.over, l.end, l.err, l.failed = true, time.Now(), err, err
	if fatal {
		l.fatal(err)
	}
}

// fails notes a failure and says whether there is another try. It is called with mu
// held.
func (l *life) fails(err error) bool {
	l.failed, l.well = err, time.Time{}
	l.failures++
	if l.failures > l.rules.Restarts {
		if l.failures > 1 {
			err = fmt.Errorf("task %q: it failed %d times and was never well for %s in between (runner.restarts %d): %w",
				l.task.Name(), l.failures, goodAfter, l.rules.Restarts, err)
		}
		l.ends(err, true)
		return false
	}
	delay := l.rules.Delay(l.failures)
	l.next = time.Now().Add(delay)
	l.log.Warn("task failed: starting it again", "task", l.task.Name(), "error", err, "delay", delay,
		"restart", l.failures, "restarts", l.rules.Restarts)
	return true
}

// restart waits for the next try and makes a new engine. False means that there is none
// yet, or that the task is over.
func (l *life) restart(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(l.next))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	rest, more := l.rest()
	if ctx.Err() != nil || !more {
		// Stopped while it waited: nothing is held, so nothing is lost by that. Or what
		// was asked of it is done.
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ends(nil, false)
		return false
	}
	making, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	err := l.now.close(making)
	if err != nil {
		l.log.Warn("what a failed task had open did not close in order", "task", l.task.Name(), "error", err)
	}
	p, err := l.make(making, rest)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restarts++
	switch {
	case err != nil && ctx.Err() != nil:
		l.ends(nil, false)
		return false
	case err != nil:
		l.fails(fmt.Errorf("task %q: start it again: %w", l.task.Name(), err))
		return false
	}
	// Under the lock, as is whoever shows it: between the last look at the old engine and
	// the first at the new one its counts would be in neither, and go backwards.
	l.before = l.metrics()
	l.before.Restarts = 0
	l.now, l.ran, l.failed = p, false, nil
	l.log.Info("task started again", "task", l.task.Name(), "restart", l.failures)
	return true
}

// rest is the task with what is left of its limit and its time; more is false if
// nothing is. A task that is started again has no right to them anew.
func (l *life) rest() (rest bound, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest = l.bound
	rest.policy, rest.prod = rest.policy.Clone(), rest.prod.Clone()
	more = true
	limit := func(n *int64) {
		if *n > 0 {
			*n -= l.sum.Started
			more = more && *n > 0
		}
	}
	timeout := func(d *policy.Duration) {
		if *d > 0 {
			*d = max(*d-policy.Duration(l.sum.Duration), 1) // over is for the engine to say
		}
	}
	if l.task.Producer() {
		limit(&rest.prod.Loop.Limit)
		timeout(&rest.prod.Loop.Timeout)
	} else {
		limit(&rest.policy.Loop.Limit)
		timeout(&rest.policy.Loop.Timeout)
	}
	return rest, more
}

// streams says whether the task goes on when its source is empty.
func (l *life) streams() bool { return !l.untilEmpty }

func (l *life) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// look forgets failures once the task was well for long enough.
func (l *life) look(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failures == 0:
	case l.ran || l.now.engine.Health() != nil:
		l.well = time.Time{}
	case l.well.IsZero():
		l.well = now
	case now.Sub(l.well) >= goodAfter:
		l.failures = 0
	}
}
