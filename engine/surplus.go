package engine

import "time"

// surplusFor is how long more may be held unstarted than is soon begun.
const surplusFor = time.Second

// surplus gives back what was fetched ahead of attempts that turned out slow.
// Prefetch goes by how long attempts took; when they begin to take minutes, what
// waits behind them would wait for hours, its lease kept up and invisible to every
// other process. The sweeper alone uses it.
type surplus struct {
	begun uint64    // attempts, when it last changed
	at    time.Time // when that was
	since time.Time // there is a surplus, zero for none
}

// release looks at the queue. Only what is there for a while is given back: one
// attempt that lost its core for a moment says nothing.
func (s *surplus) release(e *Engine, now time.Time) {
	if e.policy.Loop.Prefetch > 0 {
		return
	}
	if begun := e.runq.begun(); begun != s.begun || s.at.IsZero() {
		s.begun, s.at = begun, now
	}
	// All that run now have lasted for as long as nothing was begun.
	queued := e.runq.lasting(now.Sub(s.at))
	_, allowed, _ := e.ahead()
	switch {
	case queued <= 2*allowed:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= surplusFor:
		s.since = time.Time{}
		for _, f := range e.runq.takeUnstarted(allowed) {
			f.release()
		}
	}
}
