package engine

import (
	"maps"
	"slices"

	"github.com/ergon-framework/ergon"
)

// Plus is what two runs of one task did, in one: every number is the sum.
func (r Report) Plus(o Report) Report {
	return Report{
		Task: r.Task, Fetched: r.Fetched + o.Fetched, Started: r.Started + o.Started,
		Succeeded: r.Succeeded + o.Succeeded, Dead: r.Dead + o.Dead, Deferred: r.Deferred + o.Deferred,
		Released: r.Released + o.Released, Lost: r.Lost + o.Lost, Merged: r.Merged + o.Merged,
		Abandoned: r.Abandoned + o.Abandoned, Outputs: r.Outputs + o.Outputs,
		Retries: r.Retries + o.Retries, Stuck: r.Stuck + o.Stuck, Duration: r.Duration + o.Duration,
	}
}

// After is m together with what earlier engines of the same task had counted: since
// the first of them was made, with what it does now as it is in m. A task that is
// started again gets a new engine, which begins at 0 under the same name; shown alone,
// its counters would go backwards. Restarts is the sum, like any other count.
func (m Metrics) After(earlier Metrics) Metrics {
	m.Since = earlier.Since
	m.Started += earlier.Started
	m.Outputs += earlier.Outputs
	m.Stuck += earlier.Stuck
	m.Empty += earlier.Empty
	m.Redelivered += earlier.Redelivered
	m.LeasesLost += earlier.LeasesLost
	m.SettleFailed += earlier.SettleFailed
	m.Restarts += earlier.Restarts
	m.Batch = m.Batch.Plus(earlier.Batch)
	m.Transactions = transactionsAfter(m.Transactions, earlier.Transactions)
	m.DeadLetters = deadAfter(m.DeadLetters, earlier.DeadLetters)
	m.Phases = phasesAfter(m.Phases, earlier.Phases)
	return m
}

// transactionsAfter adds by place: every engine has all outcomes, in one order.
func transactionsAfter(now, earlier []TransactionMetrics) []TransactionMetrics {
	all := slices.Clone(now)
	for i, before := range earlier {
		t := &all[i]
		t.Count, t.Drained, t.Duration = t.Count+before.Count, t.Drained+before.Drained, t.Duration.Plus(before.Duration)
		if len(before.Failed) == 0 {
			continue
		}
		if t.Failed = maps.Clone(t.Failed); t.Failed == nil {
			t.Failed = map[ergon.Category]int64{}
		}
		for category, n := range before.Failed {
			t.Failed[category] += n
		}
	}
	return all
}

// deadAfter adds by phase and category, of which each engine has only those that there
// are.
func deadAfter(now, earlier []DeadMetrics) []DeadMetrics {
	all := slices.Clone(now)
	for _, before := range earlier {
		i := slices.IndexFunc(all, func(d DeadMetrics) bool { return d.Phase == before.Phase && d.Category == before.Category })
		if i < 0 {
			all = append(all, before)
			continue
		}
		all[i].Count += before.Count
	}
	return all
}

// phasesAfter adds by place, as transactionsAfter does.
func phasesAfter(now, earlier []PhaseMetrics) []PhaseMetrics {
	all := slices.Clone(now)
	for i, before := range earlier {
		p := &all[i]
		p.Retries, p.Backoff = p.Retries+before.Retries, p.Backoff.Plus(before.Backoff)
		p.Results = slices.Clone(p.Results)
		for j, r := range before.Results {
			to := &p.Results[j]
			to.Attempts, to.Duration = to.Attempts+r.Attempts, to.Duration.Plus(r.Duration)
		}
	}
	return all
}
