package engine

import (
	"runtime"
	"time"
)

const (
	// shortAttempt is what an attempt may take and still be taken for one that only
	// computes: what waits for another process takes longer even on one machine.
	shortAttempt = 20 * time.Microsecond
	// stallAfter is how long the queue may stand still before running attempts count
	// as waiting.
	stallAfter = time.Millisecond
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
	slow  int           // running attempts that were seen to wait
	epoch int           // changes with each time that they were counted
	begun uint64        // attempts so far
	seen  uint64        // of those, when the timer was set
	timer *time.Timer   // nil until it is needed
	armed bool
}

// begin sets what attempts are taken to last until some were seen.
func (c *crew) begin(mean time.Duration) { c.cores, c.mean = runtime.GOMAXPROCS(0), mean }

// few reports whether no more workers are worth keeping than there are cores.
func (c *crew) few() bool { return c.mean < shortAttempt }

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
	c.mean += (min(w.took, time.Second) - c.mean) / 8
	if w.epoch != c.epoch {
		c.slow = max(c.slow-1, 0)
	}
}

// watch sets the timer.
func (c *crew) watch(stalled func()) {
	if c.armed {
		return
	}
	c.armed, c.seen = true, c.begun
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
		c.armed, c.seen = true, c.begun
		c.timer.Reset(stallAfter)
		return false
	}
	c.slow = max(2*running-c.cores, running)
	c.epoch++
	return true
}

func (c *crew) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
