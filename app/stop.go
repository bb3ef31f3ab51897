package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/engine"
)

// ExitCode of a run.
const (
	ExitDone      = 0 // done, or stopped with a clean drain
	ExitFailed    = 1 // a task failed
	ExitAbandoned = 3 // something was not settled when the run ended
)

// stopReserve is what the end of everything but the engines may take: publishers, the
// bus, an embedded server. telemetryReserve comes on top, for telling of it: a receiver
// that does not answer must cost none of the rest its time. startReserve is what is left
// of a start's time for taking back what it did.
const (
	stopReserve      = 5 * time.Second
	telemetryReserve = 4 * time.Second
	startReserve     = 5 * time.Second
)

// closeForced is what all of that may take once the end is forced.
const closeForced = 100 * time.Millisecond

// ForceTime is how long the end may take once it was forced with Abort: a second at
// most, with what is left behind then.
const ForceTime = time.Second

// Done is closed when every task has ended, or the start has failed. After a failure, or
// an Abort, it is closed also if something does not end.
func (r *Runner) Done() <-chan struct{} { return r.fleet.done }

// Abort ends the run now: what runs is cancelled and given back, and what does not end
// within 700 ms is left behind. It is for a second signal, while Stop goes on, which
// returns soon after. What was left behind stands in Reports and Drains.
func (r *Runner) Abort() { r.fleet.abort() }

// StopTime is how long Stop may take, and the stop of all services after it.
func (r *Runner) StopTime() time.Duration {
	d := r.engineStopTime() + forceWithin + stopReserve + telemetryReserve + time.Duration(len(r.services))*ServiceStopTime
	if r.shared.lent.Load() {
		d += stopReserve // the bus ends last
	}
	if r.serves() {
		d += httpReserve
	}
	return d
}

func (r *Runner) engineStopTime() time.Duration {
	longest := time.Duration(0)
	for _, t := range r.tasks {
		longest = max(longest, engine.StopTime(t.policy.Shutdown), engine.StopTime(t.prod.Shutdown))
	}
	return longest
}

// Stop drains every task, and closes what Start opened: it takes no request over HTTP, stops fetching, gives back
// what never started, lets the rest finish within shutdown.grace and settle, closes
// sources and sinks, then the HTTP server, publishers, the bus and its server, the admin server, and
// telemetry. Services are stopped after it, by fx, and after them a bus that they use.
// When ctx ends the drain is cut short, as by Abort. It is idempotent.
func (r *Runner) Stop(ctx context.Context) error {
	var err error
	r.stopped.Do(func() {
		r.fleet.stop()
		bounded, cancel := context.WithTimeout(ctx, r.fleet.stopTime)
		defer cancel()
		select {
		case <-r.fleet.done:
		case <-bounded.Done():
			// Every engine should have ended by now.
			r.Abort()
			<-r.fleet.done
		}
		reserve := stopReserve
		if r.serves() {
			reserve += httpReserve
		}
		closing, cancel := r.closing(ctx, reserve)
		defer cancel()
		err = r.close(closing)
	})
	return err
}

// closing is what is left for closing something: d, and not much of it once the end is
// forced. That ctx has ended is no reason to leave things open.
func (r *Runner) closing(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return r.closingIn(ctx, d, closeForced)
}

// closingIn is closing, with what is left once the end is forced.
func (r *Runner) closingIn(ctx context.Context, d, left time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	unforced := context.AfterFunc(r.fleet.forced, func() { time.AfterFunc(left, cancel) })
	return ctx, func() {
		unforced()
		cancel()
	}
}

func (r *Runner) close(ctx context.Context) error {
	var errs []error
	for _, l := range slices.Backward(r.fleet.lives) {
		switch _, ended := l.report(); {
		case ended:
			errs = append(errs, l.now.close(ctx))
		case !r.fleet.running: // a start that failed: its engine never ran, and closes nothing
			errs = append(errs, l.now.source.Close(ctx), l.now.close(ctx))
		}
	}
	answers, cancel := r.closingIn(ctx, httpReserve, closeForced/4) // a client that stalls costs the rest no time
	defer cancel()
	errs = append(errs, r.web.Load().close(ctx, answers))
	if r.letters != nil {
		errs = append(errs, r.letters.Close(ctx))
	}
	if r.conn != nil && !r.shared.lent.Load() { // else when the services are done with it
		errs = append(errs, r.shared.close(ctx))
	}
	r.ballast.Release()
	return errors.Join(append(errs, r.closeAdmin(ctx), r.closeTelemetry(ctx))...)
}

// Reports are what the tasks did, by name; of those that have ended or were left behind.
// A task that was started again has one, with the sums.
func (r *Runner) Reports() []engine.Report {
	over := false
	select {
	case <-r.fleet.done:
		over = true
	default:
	}
	var reports []engine.Report
	for _, l := range r.tasksShown() {
		if report, ended := l.report(); ended || over {
			reports = append(reports, report)
		}
	}
	slices.SortFunc(reports, func(a, b engine.Report) int { return strings.Compare(a.Task, b.Task) })
	return reports
}

// Drains say how the stop went, by task; of those that ran when it began.
func (r *Runner) Drains() []Drained {
	if r.ready.Load() == nil {
		return []Drained{}
	}
	return r.fleet.drains()
}

// Snapshots are what the tasks are doing now, by name.
func (r *Runner) Snapshots() []engine.Snapshot {
	lives := r.tasksShown()
	all := make([]engine.Snapshot, len(lives))
	for i, l := range lives {
		all[i] = l.Snapshot()
	}
	return all
}

// Conn is the bus, once Start has returned.
func (r *Runner) Conn() *Conn { return r.conn }

// Err is why tasks failed, and why the run ended because of that; nil if none did.
func (r *Runner) Err() error { return r.fleet.failure() }

// ExitCode is what the process should end with.
func (r *Runner) ExitCode() int {
	if r.Err() != nil {
		return ExitFailed
	}
	for _, report := range r.Reports() {
		if report.Abandoned > 0 {
			return ExitAbandoned
		}
	}
	return ExitDone
}
