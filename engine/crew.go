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
	// lookLeast is how often the timer looks at least. A queue that moves is looked at
	// less and less often: there is a timer for each of many tasks.
	lookLeast = 16 * time.Millisecond
	// busyStallAfter is the same where goroutines stand in line: there an attempt that
	// computes, and a worker that was woken, wait for their turn as well.
	busyStallAfter = 100 * time.Millisecond
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
	usual time.Duration // most attempts lately took less
	known int           // attempts that it is of, up to crewLeast
	slow  int           // running attempts that were seen to wait
	epoch int           // changes with each time that they were counted
	begun uint64        // attempts so far
	seen  uint64        // of those, when the timer was set
	since time.Time     // that was so
	timer *time.Timer   // nil until it is needed
	full  func() bool   // reports whether running workers wait for room for their outputs
	armed bool
	every time.Duration // that it looks
	line  [1]metrics.Sample
}

// begin takes attempts for long ones until some were seen, unless they are known to be
// short.
func (c *crew) begin(short bool, full func() bool) {
	if short {
		c.known = crewLeast
	}
	c.full = full
	c.cores = runtime.GOMAXPROCS(0)
	c.line[0].Name = "/sched/goroutines/runnable:goroutines"
}

// few reports whether no more workers are worth keeping than there are cores.
func (c *crew) few() bool {
	return c.known >= crewLeast && (c.usual < shortAttempt || c.usual < busyAttempt && c.busy())
}

// busy reports whether goroutines stand in line for the cores: a further worker would
// only stand behind them. With many tasks in a process an attempt that computes takes
// as long as one that waits.
func (c *crew) busy() bool {
	metrics.Read(c.line[:])
	v := c.line[0].Value
	return v.Kind() == metrics.KindUint64 && v.Uint64() > uint64(busyLine*c.cores)
}

// enough reports whether a further worker would have nothing to gain. Until it is known
// how long attempts take, no more are begun than have to be seen for that: otherwise each
// of a task's first hundreds would get a worker before one has returned. If none of them
// returns soon, the timer sees it.
func (c *crew) enough(running int) bool {
	if c.known < crewLeast {
		return running-c.slow >= max(c.cores, crewLeast)
	}
	return c.few() && running-c.slow >= c.cores
}

// took notes that a worker begins.
func (c *crew) took(w *worker) {
	c.begun++
	w.epoch = c.epoch
}

// returned notes how long its attempt took.
func (c *crew) returned(w *worker) {
	c.known = min(c.known+1, crewLeast)
	// What six in seven stay below. Their mean would say little: one that computes and
	// loses its core, or has to help the collector, lasts as long as a thousand.
	switch took := min(max(w.took, time.Microsecond), time.Second); {
	case c.usual == 0:
		c.usual = took
	case took > c.usual:
		c.usual = min(c.usual+c.usual/2, took)
	default:
		c.usual = max(c.usual-c.usual/16, took)
	}
	if w.epoch != c.epoch {
		c.slow = max(c.slow-1, 0)
	}
}

// watch sets the timer.
func (c *crew) watch(stalled func()) {
	if c.armed {
		return
	}
	c.seen, c.since, c.every = c.begun, time.Now(), stallAfter
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Hour, stalled)
	}
	c.look()
}

// look sets the timer anew.
func (c *crew) look() {
	c.armed = true
	c.timer.Reset(c.every)
	c.every = min(2*c.every, lookLeast)
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
		c.seen, c.since = c.begun, time.Now()
		c.look()
		return false
	case c.full(), c.usual < busyAttempt && c.busy() && time.Since(c.since) < busyStallAfter:
		c.look()
		return false
	}
	c.slow = max(2*running-c.cores, running)
	c.usual, c.known = max(c.usual, stallAfter), crewLeast // they last that long already
	c.epoch++
	return true
}

// lasts notes that nothing was begun for d, though something is queued.
func (c *crew) lasts(d time.Duration) {
	if !c.full() && (d >= busyStallAfter || !c.busy()) {
		c.usual = max(c.usual, d)
	}
}

func (c *crew) stop() {
	if c.timer != nil {
		c.timer.Stop()
	}
}
