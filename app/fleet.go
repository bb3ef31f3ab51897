package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ergon-framework/ergon/app/config"
)

// forceWithin is how long engines may take to end once a stop is forced: they need
// 600 ms at most, unless something ignores its context that must not. Then they are
// left behind.
const forceWithin = 700 * time.Millisecond

// fleet runs all tasks of a Runner, and sees to it that the run ends. Tasks end by
// themselves, each when it likes; the rest is drained when somebody stops the run, or
// when something happened that only a new process helps against. A drain is bounded,
// and what does not end by then is left behind: the process is about to go anyway.
type fleet struct {
	lives    []*life
	rules    config.Runner
	log      *slog.Logger
	stopTime time.Duration // of an engine that ends as it should

	fetching context.Context // ends when the stop begins
	stop     context.CancelFunc
	wg       sync.WaitGroup
	done     chan struct{} // closed when every task has ended, or is left behind
	cut      chan struct{} // closed to leave them behind
	cutting  sync.Once
	running  bool            // run was called
	forced   context.Context // ends when the drain is cut short
	force    context.CancelFunc
	failing  chan struct{} // closed when the run ends because of err
	once     sync.Once

	mu    sync.Mutex
	began time.Time // of the stop
	drain func()    // called when the stop begins, perhaps again; nil is nothing
	err   error
}

func newFleet(ctx context.Context, rules config.Runner, log *slog.Logger) *fleet {
	f := &fleet{rules: rules, log: log, done: make(chan struct{}), cut: make(chan struct{}), failing: make(chan struct{})}
	fetching, cancel := context.WithCancel(ctx)
	f.fetching = fetching
	f.forced, f.force = context.WithCancel(ctx)
	f.stop = func() {
		f.mu.Lock()
		if f.began.IsZero() {
			f.began = time.Now()
		}
		drain := f.drain
		f.mu.Unlock()
		if drain != nil {
			drain()
		}
		cancel()
	}
	return f
}

// onStop has drain called when the stop begins: it does not wait.
func (f *fleet) onStop(drain func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drain = drain
}

// run starts every task.
func (f *fleet) run() {
	f.running = true
	for _, l := range f.lives {
		f.wg.Go(func() { l.run(f.fetching) })
	}
	all, over := make(chan struct{}), make(chan struct{})
	go func() {
		f.wg.Wait()
		close(all)
	}()
	var beside sync.WaitGroup
	beside.Go(func() { f.watch(over) })
	beside.Go(func() { f.bound(over) })
	go func() {
		select {
		case <-all:
		case <-f.cut:
		}
		close(over)
		beside.Wait()
		f.stop()
		close(f.done)
	}()
}

// bound ends the drain of a run that failed. Nobody may wait for it from outside: who
// does, waits for done.
func (f *fleet) bound(over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-f.failing:
	}
	timer := time.NewTimer(f.stopTime)
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
		f.log.Error("the drain stalls: leaving behind what does not end", "after", f.stopTime)
		f.abort()
	}
}

// fail ends the run because of err: a process that lost one of its tasks for good and
// looks healthy is worse than one that ends and says why. It may be called with a
// life's lock held.
func (f *fleet) fail(err error) {
	f.mu.Lock()
	f.err = errors.Join(f.err, err)
	f.mu.Unlock()
	f.once.Do(func() {
		f.log.Error("the run ends: what runs is drained", "error", err)
		close(f.failing)
	})
	f.stop()
}

// abort cuts the drain short: everything ends now, or is left behind.
func (f *fleet) abort() {
	f.stop()
	f.force()
	for _, l := range f.lives {
		l.current().Abort()
	}
	f.cutting.Do(func() {
		time.AfterFunc(forceWithin, func() { close(f.cut) })
	})
}

// failure is why tasks failed, nil if none did.
func (f *fleet) failure() error {
	f.mu.Lock()
	errs := []error{f.err}
	f.mu.Unlock()
	for _, l := range f.lives {
		l.mu.Lock()
		if l.over && l.err != nil && !errors.Is(errs[0], l.err) {
			errs = append(errs, l.err)
		}
		l.mu.Unlock()
	}
	return errors.Join(errs...)
}

// drains say how the stop went, once it has begun.
func (f *fleet) drains() []Drained {
	f.mu.Lock()
	began := f.began
	f.mu.Unlock()
	all := []Drained{}
	if began.IsZero() {
		return all
	}
	now := time.Now()
	for _, l := range f.lives {
		if d := l.drained(began, now); d != nil {
			all = append(all, *d)
		}
	}
	return all
}
