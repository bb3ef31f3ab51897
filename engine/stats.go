package engine

import (
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/meter"
)

// stats are the engine's counters: plain atomics, whoever exports them reads
// snapshots (Metrics).
type stats struct {
	fetches, empties, fetched, redelivered atomic.Int64
	started, outputs, stuck                atomic.Int64
	leasesLost, settleFailures             atomic.Int64
	batch                                  sizes

	outcomes [outcomes]outcomeStats
	dead     [phases][results]atomic.Int64 // by the phase that failed for good
	phases   [stepSettle]phaseStats        // by step; stepStart stands for fetch
}

// outcomeStats are of one outcome.
type outcomeStats struct {
	took    meter.Histogram       // of those that began
	ended   [results]atomic.Int64 // why: but for Dead all are OK
	drained atomic.Int64          // that ended after the stop began
}

// phaseStats are of one phase.
type phaseStats struct {
	began   atomic.Int64             // attempts
	failed  [results]atomic.Int64    // attempts, by category; of those that did well, took tells
	took    [results]meter.Histogram // whole phases, by how they ended
	retries atomic.Int64
	backoff meter.Histogram
}

// A result is how something ended, as an index.
const (
	resultOK = iota
	resultBusiness
	resultSystem
	resultTimeout
	results
)

// categories are the results as they are shown.
var categories = [results]ergon.Category{"", ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}

func resultOf(err error) int {
	if err == nil {
		return resultOK
	}
	switch ergon.CategoryOf(err) {
	case ergon.CategoryBusiness:
		return resultBusiness
	case ergon.CategoryTimeout:
		return resultTimeout
	}
	return resultSystem
}

// phases are how many a transaction can fail in for good.
const phases = 6

// phaseNames are those by index.
var phaseNames = [phases]ergon.Phase{
	ergon.PhaseFetch, ergon.PhaseDecode, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess, ergon.PhaseException,
}

func phaseIndex(p ergon.Phase) int {
	for i, name := range phaseNames {
		if name == p {
			return i
		}
	}
	return 2 // there is no other
}

// outcomes are how many there are.
const outcomes = 7

// outcomeNames are the outcomes by index.
var outcomeNames = [outcomes]Outcome{Succeeded, Dead, Deferred, Released, Lost, Merged, Abandoned}

func (o Outcome) index() int {
	switch o {
	case Succeeded:
		return 0
	case Dead:
		return 1
	case Deferred:
		return 2
	case Released:
		return 3
	case Lost:
		return 4
	case Merged:
		return 5
	}
	return 6
}

// finished counts a flight. One that never began is not in its outcome's histogram.
func (s *stats) finished(f *flight, o Outcome, took time.Duration, drained bool) {
	of := &s.outcomes[o.index()]
	result := resultOK
	if t := f.trouble; t != nil && o == Dead {
		result = resultOf(t.err)
		s.dead[phaseIndex(t.err.Phase)][result].Add(1)
	}
	of.ended[result].Add(1)
	if !f.began.IsZero() {
		of.took.Record(took)
	}
	if drained {
		of.drained.Add(1)
	}
}

// count is how many ended so.
func (s *stats) count(o Outcome) (n int64) {
	of := &s.outcomes[o.index()]
	for i := range of.ended {
		n += of.ended[i].Load()
	}
	return n
}

// retries are those of all phases of a transaction.
func (s *stats) retries() (n int64) {
	for i := stepProcess; i < stepSettle; i++ {
		n += s.phases[i].retries.Load()
	}
	return n
}

// attemptEnded counts an attempt of the flight's step, and the phase, if that ended
// with it.
func (s *stats) attemptEnded(f *flight, took time.Duration, err error) {
	p := &s.phases[f.step]
	switch t := f.trouble; {
	case err != nil:
		p.failed[resultOf(err)].Add(1)
		if t = f.inTrouble(); t.phaseBegan.IsZero() {
			t.phaseBegan = f.returned.Add(-took)
		}
	case t != nil && !t.phaseBegan.IsZero():
		p.took[resultOK].Record(f.returned.Sub(t.phaseBegan))
		t.phaseBegan = time.Time{}
	default:
		p.took[resultOK].Record(took)
	}
}

// phaseFailed counts a phase that failed for good, and goes on to no other attempt.
func (s *stats) phaseFailed(f *flight, err error) {
	took := time.Duration(0) // no attempt was made: what the task returned can't be sent
	if t := f.trouble; t != nil && !t.phaseBegan.IsZero() {
		took = time.Since(t.phaseBegan)
		t.phaseBegan = time.Time{}
	}
	s.phases[f.step].took[resultOf(err)].Record(took)
}

// attempts are how many ended so. One that did well ended its phase.
func (p *phaseStats) attempts(result int) int64 {
	if result == resultOK {
		return p.took[resultOK].Count()
	}
	return p.failed[result].Load()
}

// running is how many attempts have begun and not ended.
func (p *phaseStats) running() int64 {
	n := p.began.Load()
	for r := range results {
		n -= p.attempts(r)
	}
	return max(n, 0) // what ended meanwhile was counted after began was read
}

// sizeBounds are the upper bounds of batch sizes, inclusive.
var sizeBounds = [...]float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000}

// sizes counts how large something was.
type sizes struct {
	sum     atomic.Int64
	buckets [len(sizeBounds) + 1]atomic.Int64
}

func (s *sizes) record(n int) {
	i := 0
	for i < len(sizeBounds) && float64(n) > sizeBounds[i] {
		i++
	}
	s.sum.Add(int64(n))
	s.buckets[i].Add(1)
}
