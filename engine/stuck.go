package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
)

// ErrStuck is returned by Run when more tasks than loop.concurrency ignored their
// cancelled contexts: every slot and its replacement is taken by code that does
// not return, and only a new process gets rid of it.
var ErrStuck = errors.New("too many tasks ignore their cancelled context")

// errIgnored is an attempt that ignored its cancelled context for too long.
var errIgnored = errors.New("stuck")

// errStranded tells a worker that its flight was given up while its code ran.
var errStranded = errors.New("stranded")

// codeCall is one call of user code. It outlives its flight when it is stuck: the
// flight goes on without it, through other calls even, so each is told apart. All
// of it stands under the flight's mu.
type codeCall struct {
	on         *worker
	began      time.Time // of the attempt
	stuckAt    time.Time // when it is given up, zero for never
	registered bool      // its context is what a lost lease cancels
	stuck      bool      // it was given up and has not returned
	replaced   bool      // its slot was given to another worker
}

// worker is one of the goroutines that run user code.
type worker struct {
	goroutine string // its ID, to find its stack by
	parked    chan struct{}
	in        *codeCall // user code that has not returned

	dismissed  bool // it is to end; under the queue's lock
	lastInLine bool // whoever is ready to run goes first when it is woken

	took  time.Duration // by its latest attempt
	epoch int           // of the crew, when it began
}

func newWorker() *worker {
	return &worker{goroutine: goroutineID(), parked: make(chan struct{}, 1)}
}

// enter notes that user code has the flight, until when, and what a lost lease
// cancels. It refuses once the lease is lost.
func (f *flight) enter(a *attempted, deadline time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost.Load() {
		return false
	}
	if a.call.registered {
		f.running = &a.ctx
	}
	if after := f.e.policy.Transaction.StuckAfter.D(); after > 0 && !deadline.IsZero() {
		a.call.stuckAt = deadline.Add(after)
	}
	f.calling = &a.call
	return true
}

// left notes that user code has returned. It is false when the call was given up
// meanwhile; then its slot is this worker's again, and if the flight has ended its
// ID is free now: no attempt of it ran beside this one.
func (f *flight) left(c *codeCall) bool {
	f.mu.Lock()
	if !c.stuck {
		f.calling = nil
		if c.registered {
			f.running = nil
		}
		f.mu.Unlock()
		return true
	}
	f.stuck--
	free, replaced := f.over && f.stuck == 0, c.replaced
	f.mu.Unlock()
	e := f.e
	e.runq.unstrand(replaced)
	e.stranded.Add(-1)
	if free {
		e.leaveGuard(f)
	}
	return false
}

// checkStuck gives up on code that ignores its cancelled context for longer than
// transaction.stuck_after: the transaction ends TIMEOUT, and the slot is given to
// another worker. The ID stays guarded until the code returns.
func (f *flight) checkStuck(now time.Time) {
	f.mu.Lock()
	c := f.calling
	if c == nil || c.stuckAt.IsZero() || now.Before(c.stuckAt) {
		f.mu.Unlock()
		return
	}
	c.stuck, c.replaced = true, f.e.runq.strand()
	goroutine, replaced, took := c.on.goroutine, c.replaced, now.Sub(c.began)
	f.calling, f.running = nil, nil
	f.stuck++
	f.mu.Unlock()
	e := f.e
	e.stranded.Add(1)
	e.stats.stuck.Add(1)
	after := e.policy.Transaction.StuckAfter.D()
	e.emit(Stuck{
		Place: f.here(), Task: e.task.name, Transaction: f.raw, Phase: f.step.phase(), Attempt: f.n,
		After: after, Replaced: replaced, Stack: stackOf(goroutine),
	})
	if !replaced {
		e.breakOff(fmt.Errorf("task %q: %w", e.task.name, ErrStuck))
	}
	// Final: a retry would run beside the code that does not return.
	err := &ergon.Error{Category: ergon.CategoryTimeout, Err: resilience.Final(
		fmt.Errorf("%w: attempt %d of %s ignored its cancelled context for %v", errIgnored, f.n, f.step.phase(), after))}
	f.returned = now
	e.attemptEnded(f, took, err)
	f.attemptDone(err)
}

// goroutineID is the number in the first line of a stack: "goroutine 7 [".
func goroutineID() string {
	var buf [64]byte
	line := string(buf[:runtime.Stack(buf[:], false)])
	id, _, _ := strings.Cut(strings.TrimPrefix(line, "goroutine "), " ")
	return id
}

// maxStacks bounds the dump that a stack is looked for in.
const maxStacks = 8 << 20

// stackOf finds the stack of one goroutine in the dump of all. It stops the world
// for a moment, once per stuck task.
func stackOf(goroutine string) string {
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, min(size, maxStacks))
		n := runtime.Stack(buf, true)
		if n == len(buf) && size < maxStacks {
			continue
		}
		for one := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
			if bytes.HasPrefix(one, []byte("goroutine "+goroutine+" ")) {
				return string(one)
			}
		}
		return "not found"
	}
}
