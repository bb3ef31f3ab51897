package engine

import (
	"runtime"
	"runtime/metrics"
	"time"
)

const (
	// shortAttempt is what an attempt may take and still be taken for one that only
	// computes: what waits for another process takes longer even on one machine.
	shortAttempt = 30 * time.Microsecond
	// crewWindow is over how many attempts their mean is taken. One in a thousand loses
	// its core while it runs, and lasts as long as a thousand.
	crewWindow = 64
	// crewLeast is how many are looked at before anything is made of it.
	crewLeast = 16
	// busyAttempt is what it may take where goroutines stand in line for the cores: then
	// much of it is their waiting.
	busyAttempt = time.Millisecond
	// busyLine is how many stand in line for each core of a process that is busy.
	busyLine = 2
	// stallAfter is how long the queue may stand still before running attempts count
	// as waiting.
	stallAfter = time.Millisecond
	// busyStallAfter is the same where goroutines stand in line.
	busyStallAfter = 50 * time.Millisecond
)

// crew decides how many workers are worth waking. Attempts that wait for something
// need all that there may be. Attempts that only compute need as many as there are
// cores: each further one costs a switch, and a stack that the collector scans,
// shrinks and lets grow again, and begins nothing earlier.
//
// What an attempt waits for can't be seen, so it goes by how long they take. Where
// that misleads, because all that run now wait while most before did not, the
// queue stands still, and a timer sees it.
//
// It is part of a runq, under its lock.
type crew struct {
	cores int
	mean  time.Duration // of the attempts lately
	known int           // attempts that it is of
	slow  int           // running attempts that were seen to wait
	epoch int           // changes with each time that they were counted
	begun uint64        // attempts so far
	seen  uint64        // of those, when the timer was set
	since time.Time     // that was so
	timer *time.Timer   // nil until it is needed
	armed bool
	line  [1]metrics.Sample
}

// begin takes attempts for long ones until some were seen, unless they are known to be
// short.
func (c *crew) begin(short bool) {
	c.cores = runtime.GOMAXPROCS(0)
	c.line[0].Name = "/sched/goroutines/runnable:goroutines"
	if short {
		c.known = crewLeast
	}
}

// few reports whether no more workers are worth keeping than there are cores.
func (c *crew) few() bool {
	return c.known >= crewLeast && (c.mean < shortAttempt || c.mean < busyAttempt && c.busy())
}

// busy reports whether goroutines stand in line for the cores: a further worker would
// only stand behind them. With many tasks in a process an attempt that computes takes
// as long as one that waits.
func (c *crew) busy() bool {
	metrics.Read(c.line[:])
	v := c.line[0].Value
	return v.Kind() == metrics.KindUint64 && v.Uint64() > uint64(busyLine*c.cores)
}

// enough reports whether a further worker would have nothing to gain.
func (c *crew) enough(running int) bool {
	return c.few() && running-c.slow >= c.cores
}

// took notes that a worker begins.
func (c *crew) took(w *worker) {
	c.begun++
	w.epoch = c.epoch
}

// returned notes how long its attempt took.
func (c *crew) returned(w *worker) {
	c.known = min(c.known+1, crewWindow)
	c.mean += (min(w.took, time.Second) - c.mean) / time.Duration(c.known)
	if w.epoch != c.epoch {
		c.slow = max(c.slow-1, 0)
	}
}

// watch sets the timer.
func (c *crew) watch(stalled func()) {
	if c.armed {
		return
	}
	c.armed, c.seen, c.since = true, c.begun, time.Now()
	if c.timer == nil {
		c.timer = time.AfterFunc(stallAfter, stalled)
		return
	}
	c.timer.Reset(stallAfter)
}

// stalled reports whether nothing was begun since the timer was set, though
// something is queued: then all that run are waiting.
func (c *crew) stalled(running int, queued bool) bool {
	c.armed = false
	switch {
	case !queued:
		return false
	case c.seen != c.begun:
		c.slow = min(c.slow, running)
		c.armed, c.seen, c.since = true, c.begun, time.Now()
		c.timer.Reset(stallAfter)
		return false
	case c.mean < busyAttempt && c.busy() && time.Since(c.since) < busyStallAfter:
		c.armed = true
		c.timer.Reset(stallAfter)
		return false
	}
	c.slow = max(2*running-c.cores, running)
	c.mean = max(c.mean, stallAfter) // they last that long already
	c.epoch++
	return true
}

func (c *crew) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
