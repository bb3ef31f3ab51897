package engine

import (
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/meter"
)

// Report is what a run did. Its numbers count deliveries, so a transaction that
// was delivered twice stands in it twice.
type Report struct {
	Task      string        `json:"task"`
	Fetched   int64         `json:"fetched"`
	Started   int64         `json:"started"`   // first attempts that began
	Succeeded int64         `json:"succeeded"` // stored and settled
	Dead      int64         `json:"dead"`      // in the dead-letter store
	Deferred  int64         `json:"deferred"`  // stored for a later attempt
	Released  int64         `json:"released"`  // given back, uncounted
	Lost      int64         `json:"lost"`      // leases that ran out
	Merged    int64         `json:"merged"`    // deliveries that took another's outcome
	Abandoned int64         `json:"abandoned"` // not settled; they come back when their lease ends
	Outputs   int64         `json:"outputs"`   // confirmed by their sinks
	Retries   int64         `json:"retries"`
	Stuck     int64         `json:"stuck"` // attempts that ignored their cancelled context
	Duration  time.Duration `json:"duration_ns"`
}

// Snapshot is what an engine is doing now.
type Snapshot struct {
	Report
	Held, Queued, Running int           // unsettled; waiting for a slot; in a slot
	P50, P99              time.Duration // of a delivery, from its first attempt to its settlement
	Lag                   ergon.Lag
	Unready               string // why, "" when it is ready: see Engine.Health
}

// Snapshot may be called at any time, from any goroutine.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{Report: e.report(0, 0), Held: int(e.held.Load())}
	s.Queued, s.Running = e.runq.loads()
	s.P50, s.P99 = e.stats.duration.Quantile(0.5), e.stats.duration.Quantile(0.99)
	s.Lag = e.Lag()
	if err := e.Health(); err != nil {
		s.Unready = err.Error()
	}
	return s
}

// stats are the engine's counters: plain atomics, whoever exports them reads
// snapshots.
type stats struct {
	fetches, empties, fetched, started, outputs, retries, stuck atomic.Int64
	leasesLost, settleFailures                                  atomic.Int64
	succeeded, dead, deferred, released, lost                   atomic.Int64
	merged, abandoned                                           atomic.Int64
	duration                                                    meter.Histogram
	phase                                                       [stepSettle]meter.Histogram
}

func (s *stats) outcome(o Outcome) {
	switch o {
	case Succeeded:
		s.succeeded.Add(1)
	case Dead:
		s.dead.Add(1)
	case Deferred:
		s.deferred.Add(1)
	case Released:
		s.released.Add(1)
	case Lost:
		s.lost.Add(1)
	case Merged:
		s.merged.Add(1)
	case Abandoned:
		s.abandoned.Add(1)
	}
}

func (e *Engine) report(d time.Duration, held int64) Report {
	s := &e.stats
	return Report{
		Task: e.task.name, Fetched: s.fetched.Load(), Started: s.started.Load(),
		Succeeded: s.succeeded.Load(), Dead: s.dead.Load(), Deferred: s.deferred.Load(),
		Released: s.released.Load(), Lost: s.lost.Load(), Merged: s.merged.Load(),
		Abandoned: s.abandoned.Load() + held, Outputs: s.outputs.Load(),
		Retries: s.retries.Load(), Stuck: s.stuck.Load(), Duration: d,
	}
}
