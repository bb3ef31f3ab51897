package app

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// watchMost is how often the tasks are looked at, at least.
const watchMost = time.Second

// watch looks after the tasks of a run, whether somebody asks for /livez or not: one
// that stands still holds what it holds for ever, with its leases renewed by nobody, and
// where no probe restarts the process it has to end by itself.
func (f *fleet) watch(over <-chan struct{}) {
	every := watchMost
	if bound := f.rules.Watchdog.D(); bound > 0 {
		every = min(every, max(bound/4, time.Millisecond))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var dead time.Time // since when one of them is
	for {
		select {
		case <-over:
			return
		case now := <-tick.C:
			dead = f.look(now, dead)
		}
	}
}

// look returns since when one of the tasks is not alive, zero if all are. A process that
// was stopped and goes on finds its tasks as they were left; by the next look they have
// moved, so one look alone says nothing.
func (f *fleet) look(now, dead time.Time) time.Time {
	var cause error
	for _, l := range f.lives {
		l.look(now)
		if err := l.Alive(); err != nil && cause == nil {
			cause = err
		}
	}
	bound := f.rules.Watchdog.D()
	switch {
	case cause == nil || bound == 0:
		return time.Time{}
	case dead.IsZero():
		return now
	case now.Sub(dead) < bound:
		return dead
	}
	select {
	case <-f.failing: // it is ending already
	default:
		f.log.Error("a task is not alive, and nobody restarted the process: giving up", "error", cause, "for", now.Sub(dead), "stacks", stacks())
		f.fail(fmt.Errorf("not alive for %s (runner.watchdog): %w", bound, cause))
	}
	return dead
}

// The stacks of one log line: mostStacks bytes of them, out of a dump of dumpMost.
const (
	mostStacks = 32 << 10
	dumpMost   = 8 << 20
)

// stacks are those of the goroutines in which an engine does something, as many as fit.
// It stops the world for a moment, of a process that is about to end.
func stacks() string {
	dump := make([]byte, 256<<10)
	for {
		n := runtime.Stack(dump, true)
		if n < len(dump) || len(dump) >= dumpMost {
			dump = dump[:n]
			break
		}
		dump = make([]byte, min(4*len(dump), dumpMost))
	}
	var b strings.Builder
	left := 0
	for one := range bytes.SplitSeq(dump, []byte("\n\n")) {
		if !bytes.Contains(one, []byte("ergon/engine.")) {
			continue
		}
		if b.Len()+len(one) > mostStacks {
			left++
			continue
		}
		b.Write(one)
		b.WriteString("\n\n")
	}
	if left > 0 {
		fmt.Fprintf(&b, "… and %d more", left)
	}
	return strings.TrimSpace(b.String())
}
