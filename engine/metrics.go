package engine

import (
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/meter"
)

// Metrics are what an engine has counted since it was made, and what it does now. Its
// numbers are read one after the other while the engine works, so they may be a few
// transactions apart.
type Metrics struct {
	Task, Connector string
	// Since is when the engine began to count.
	Since time.Time

	Started      int64 // deliveries whose first attempt began
	Transactions []TransactionMetrics
	DeadLetters  []DeadMetrics  // those that there are
	Phases       []PhaseMetrics // fetch, process, produce, success, exception
	Outputs      int64          // that are stored
	Stuck        int64          // attempts that ignored their cancelled context
	Batch        Histogram      // deliveries per fetch that brought any
	Empty        int64          // fetches that brought none
	Redelivered  int64          // deliveries that were not their transaction's first
	LeasesLost   int64
	SettleFailed int64 // settlements that were tried again
	// Restarts counts how often the task was started again after it had failed. An
	// engine runs once, so its own is 0: whoever makes its successor counts, see After.
	Restarts int64
	Limits   []LimitMetrics
	Lag      ergon.Lag // At is zero where it is not known
	Ready    bool      // as Health says; false once Run has ended
}

// TransactionMetrics are of one outcome.
type TransactionMetrics struct {
	Outcome Outcome
	// Failed are those of Count that failed for good, by category; for Dead alone.
	Failed map[ergon.Category]int64
	Count  int64
	// Drained are those of Count that ended after the stop had begun.
	Drained int64
	// Duration is from the first attempt to the settlement, of those that began.
	Duration Histogram
}

// DeadMetrics are of the transactions that stand in the dead-letter store because of
// one phase and category.
type DeadMetrics struct {
	Phase    ergon.Phase
	Category ergon.Category
	Count    int64
}

// PhaseMetrics are of one phase.
type PhaseMetrics struct {
	Phase   ergon.Phase
	Running int64 // attempts
	Results []ResultMetrics
	Retries int64     // in place
	Backoff Histogram // the waits before them
	// Breaker says that there is one, and Open that it lets nothing through.
	Breaker, Open bool
}

// ResultMetrics are of what ended in one way.
type ResultMetrics struct {
	Category ergon.Category // "" for what did well
	Attempts int64
	Duration Histogram // of whole phases, with retries and the waits between them
}

// LimitMetrics are of something that admits so many at once.
type LimitMetrics struct {
	// Name is slots (attempts that run), window (transactions that are not settled),
	// or the phase whose bulkhead it is.
	Name      string
	Used, Max int64
}

// Histogram counts values: durations in seconds, or sizes.
type Histogram struct {
	Count uint64
	Sum   float64
	// Bounds are the upper bounds of Counts, each inclusive; Counts has one more, for
	// what lies above all.
	Bounds []float64
	Counts []uint64
	// Fine are the same values in the buckets of an exponential histogram, as
	// OpenTelemetry defines it; nil for sizes. Zero counts those that are not above
	// ZeroThreshold.
	Fine          []uint64
	Scale, Offset int
	Zero          uint64
	ZeroThreshold float64
}

// Metrics returns a snapshot. It may be called at any time, from any goroutine.
func (e *Engine) Metrics() Metrics {
	s := &e.stats
	m := Metrics{
		Task: e.task.name, Connector: e.connector, Since: e.made,
		Started: s.started.Load(), Outputs: s.outputs.Load(), Stuck: s.stuck.Load(),
		Batch: s.batch.histogram(), Empty: s.empties.Load(), Redelivered: s.redelivered.Load(),
		LeasesLost: s.leasesLost.Load(), SettleFailed: s.settleFailures.Load(),
		Lag: e.Lag(), Ready: !e.over.Load() && e.Health() == nil,
	}
	for i := range s.outcomes {
		m.Transactions = append(m.Transactions, s.outcomes[i].metrics(outcomeNames[i]))
	}
	for i, phase := range phaseNames {
		for r, category := range categories {
			if n := s.dead[i][r].Load(); n > 0 {
				m.DeadLetters = append(m.DeadLetters, DeadMetrics{Phase: phase, Category: category, Count: n})
			}
		}
	}
	for i := range s.phases {
		m.Phases = append(m.Phases, e.phaseMetrics(step(i)))
	}
	_, running := e.runq.loads()
	loop := e.policy.Loop
	m.Limits = []LimitMetrics{{"slots", int64(running), int64(loop.Concurrency)}, {"window", e.held.Load(), int64(loop.Window)}}
	for i := stepProcess; i < stepSettle; i++ {
		if n := e.phases[i].Concurrency(); n > 0 {
			m.Limits = append(m.Limits, LimitMetrics{string(i.phase()), s.phases[i].running(), int64(n)})
		}
	}
	return m
}

func (o *outcomeStats) metrics(name Outcome) TransactionMetrics {
	m := TransactionMetrics{Outcome: name, Drained: o.drained.Load(), Duration: histogramOf(o.took.Snapshot())}
	for r := range o.ended {
		n := o.ended[r].Load()
		m.Count += n
		if n > 0 && r != resultOK {
			if m.Failed == nil {
				m.Failed = map[ergon.Category]int64{}
			}
			m.Failed[categories[r]] = n
		}
	}
	return m
}

func (e *Engine) phaseMetrics(i step) PhaseMetrics {
	s, p := &e.stats.phases[i], e.phases[i]
	m := PhaseMetrics{Phase: i.phase(), Running: s.running(), Retries: s.retries.Load(), Backoff: histogramOf(s.backoff.Snapshot())}
	if i == stepStart {
		m.Phase, p = ergon.PhaseFetch, e.fetchPhase
	}
	m.Breaker, m.Open = p.HasBreaker(), p.Open() > 0
	for r := range results {
		m.Results = append(m.Results, ResultMetrics{
			Category: categories[r], Attempts: s.attempts(r), Duration: histogramOf(s.took[r].Snapshot()),
		})
	}
	return m
}

// seconds are the bounds of histograms of durations.
var seconds = func() (all []float64) {
	for _, b := range meter.Bounds {
		all = append(all, b.Seconds())
	}
	return all
}()

func histogramOf(s *meter.Snapshot) Histogram {
	return Histogram{
		Count: s.Count, Sum: s.Sum.Seconds(), Bounds: seconds, Counts: s.Coarse[:],
		Fine: s.Fine[:], Scale: meter.Scale, Offset: meter.Offset, Zero: s.Zero, ZeroThreshold: meter.Floor,
	}
}

func (s *sizes) histogram() Histogram {
	h := Histogram{Sum: float64(s.sum.Load()), Bounds: sizeBounds[:], Counts: make([]uint64, len(s.buckets))}
	for i := range s.buckets {
		h.Counts[i] = uint64(s.buckets[i].Load())
		h.Count += h.Counts[i]
	}
	return h
}
