package engine

import (
	"time"

	"github.com/ergon-framework/ergon"
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
	P50, P99              time.Duration // of one that succeeded, from its first attempt to its settlement
	Lag                   ergon.Lag
	Unready               string // why, "" when it is ready: see Engine.Health
}

// Snapshot may be called at any time, from any goroutine.
func (e *Engine) Snapshot() Snapshot {
	s := Snapshot{Report: e.report(0, 0), Held: int(e.held.Load())}
	s.Queued, s.Running = e.runq.loads()
	took := e.stats.outcomes[Succeeded.index()].took.Snapshot()
	s.P50, s.P99 = took.Quantile(0.5), took.Quantile(0.99)
	s.Lag = e.Lag()
	if err := e.Health(); err != nil {
		s.Unready = err.Error()
	}
	return s
}

func (e *Engine) report(d time.Duration, held int64) Report {
	s := &e.stats
	return Report{
		Task: e.task.name, Fetched: s.fetched.Load(), Started: s.started.Load(),
		Succeeded: s.count(Succeeded), Dead: s.count(Dead), Deferred: s.count(Deferred),
		Released: s.count(Released), Lost: s.count(Lost), Merged: s.count(Merged),
		Abandoned: s.count(Abandoned) + held, Outputs: s.outputs.Load(),
		Retries: s.retries(), Stuck: s.stuck.Load(), Duration: d,
	}
}
