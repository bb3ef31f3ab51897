package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
)

// The causes for which contexts end here: an attempt's own time, that of what it
// is an attempt of, and a cancellation from outside.
var (
	errOwnTime    = errors.New("own time is over")
	errParentTime = errors.New("the parent's time is over")
	errCancelled  = errors.New("cancelled from outside")
	// errLate is what an attempt comes to that a deadline overtook, whatever it returned.
	errLate = &ergon.Error{Category: ergon.CategoryTimeout, Err: errors.New("late")}
)

// act is what an attempt does: it works for a while and returns a result. One that
// heeds its context stops working when that ends, lingers, and returns another.
type act struct {
	takes, lingers time.Duration
	heeds          bool
	result         error
	stopped        string // what it returns then: err, cause, or result as otherwise
}

// scene is a phase, what its attempts do, and what happens around them. Its times
// are random to the nanosecond: of two moments that fell together, nothing would
// decide which is first.
type scene struct {
	retry              policy.Retry
	acts               []act // the last one repeats
	cancelled, timedAt time.Duration
	rival              []time.Duration // in turn: stays away for, and keeps the bulkhead's only permit for; nil is no bulkhead
	seed               uint64
}

// seen is what an attempt's code sees of its context. Times are since the start.
type seen struct {
	attempt    int
	at         time.Duration
	value      any           // of the parent
	deadline   time.Duration // 0 is none
	done       time.Duration // when Done fired for one that heeds it, 0 if it did not
	err, cause error         // as the attempt ends
	freed      bool          // after it
}

// record is all that can be observed of one run: what its attempts saw, the events
// in order, each with its time, and when the rival had the permit.
type record struct {
	began  time.Time
	seen   []seen
	events []string
	rival  []time.Duration
}

func (r *record) now() time.Duration { return time.Since(r.began) }

func (r *record) event(format string, a ...any) {
	r.events = append(r.events, fmt.Sprint(r.now(), " ", fmt.Sprintf(format, a...)))
}

// told is an error as the events have it: its category and what it says.
func told(err error) string {
	if err == nil {
		return "success"
	}
	return fmt.Sprintf("%s (%v)", ergon.CategoryOf(err), err)
}

// cover counts what the run was about, lest scenes be compared in which nothing
// happens.
func (r *record) cover(n map[string]int) {
	for _, v := range r.seen {
		if slices.Contains(r.rival, v.at) {
			n["kept waiting"]++
		}
		if v.done > 0 {
			n[fmt.Sprint("heeded: ", v.cause)]++
		} else {
			n[fmt.Sprint("ignored: ", v.cause)]++
		}
	}
	last := len(r.events) - 1
	_, final, _ := strings.Cut(r.events[last], " ")
	n[final]++
	if strings.Contains(r.events[last-1], "is followed by") {
		n["cut in a delay"]++
	}
}

type valueKey struct{}

// parent is the context of the whole phase.
func (s scene) parent(t *testing.T) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, "the parent's"))
	if s.cancelled > 0 {
		time.AfterFunc(s.cancelled, func() { cancel(errCancelled) })
	}
	if s.timedAt > 0 {
		timed, stop := context.WithTimeoutCause(ctx, s.timedAt, errParentTime)
		return timed, func(cause error) { cancel(cause); stop() }
	}
	return ctx, cancel
}

// play is the code of attempt n.
func (s scene) play(ctx context.Context, r *record, n int) (seen, error) {
	a := s.acts[min(n, len(s.acts))-1]
	r.event("attempt %d begins", n)
	v := seen{attempt: n, at: r.now(), value: ctx.Value(valueKey{})}
	if d, ok := ctx.Deadline(); ok {
		v.deadline = d.Sub(r.began)
	}
	err := a.result
	if a.heeds {
		timer := time.NewTimer(a.takes)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			v.done = r.now()
			time.Sleep(a.lingers)
			switch a.stopped {
			case "err":
				err = fmt.Errorf("stopped: %w", ctx.Err())
			case "cause":
				err = context.Cause(ctx)
			}
		}
	} else {
		time.Sleep(a.takes)
	}
	// Where both ends came before anybody looked, the lazy context names the parent's
	// even if it was the later one. The attempt is late all the same.
	if a.heeds || !s.bothOver(v.at, r.now()) {
		v.err, v.cause = ctx.Err(), context.Cause(ctx)
	}
	return v, err
}

// bothOver reports whether the own time of an attempt was over, and then the parent
// too.
func (s scene) bothOver(began, now time.Duration) bool {
	own, parent := s.retry.Timeout.D(), max(s.cancelled, s.timedAt)
	if s.cancelled > 0 && s.timedAt > 0 {
		parent = min(s.cancelled, s.timedAt)
	}
	return own > 0 && began+own < parent && parent < now
}

// freed reports, after an attempt, whether the context that its code has is ended.
// failsafe-go has one to end only under a timeout, and we only if Done was asked for.
func (s scene) freed(ctx context.Context, n int) bool {
	return s.retry.Timeout > 0 && s.acts[min(n, len(s.acts))-1].heeds && ctx.Err() != nil
}

// compete starts the rival. The returned function waits until it is through.
func (s scene) compete(t *testing.T, r *record, enter func(context.Context) error, leave func()) (wait func()) {
	var wg sync.WaitGroup
	ctx := t.Context()
	wg.Go(func() {
		for i := 0; i+1 < len(s.rival); i += 2 {
			time.Sleep(s.rival[i])
			if enter(ctx) == nil {
				taken := r.now()
				time.Sleep(s.rival[i+1])
				r.rival = append(r.rival, taken, r.now())
				leave()
			}
		}
	})
	return wg.Wait
}
