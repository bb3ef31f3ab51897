package services

import (
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/meter"
)

// categories are the rows of what is counted by how a call ended; the first is of those
// that did well.
var categories = [...]ergon.Category{"", ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}

// stats count an operation's calls.
type stats struct {
	begun, retries, rejected atomic.Int64
	took                     [len(categories)]atomic.Pointer[meter.Histogram] // made when it is first needed
}

func (s *stats) ended(d time.Duration, err error) {
	row := 0
	if err != nil {
		category := ergon.CategoryOf(err)
		for i, c := range categories {
			if c == category {
				row = i
			}
		}
	}
	h := s.took[row].Load()
	if h == nil {
		s.took[row].CompareAndSwap(nil, &meter.Histogram{})
		h = s.took[row].Load()
	}
	h.Record(d)
}

// Metrics are what a service counted since it was made.
type Metrics struct {
	Service string
	Since   time.Time
	// Open says that the circuit breaker lets no call through now, Opened how often it
	// came to that. HasBreaker is false where there is none.
	HasBreaker, Open bool
	Opened           int64
	Operations       []OperationMetrics
}

// OperationMetrics are those of one operation.
type OperationMetrics struct {
	Name    string // SERVICE.OPERATION
	Running int64  // calls that have not ended, those included that wait for their turn
	// Retries are attempts that followed a failed one, Rejected calls or attempts that an
	// open circuit breaker did not let through.
	Retries, Rejected int64
	// Calls are those that ended, by how: one row for each category that there was, and
	// one for those that did well.
	Calls []CallMetrics
}

// CallMetrics are the calls that ended in one way, and how long they took with their
// retries and waits.
type CallMetrics struct {
	Category ergon.Category // "" of those that did well
	Duration *meter.Snapshot
}

// Metrics reads what was counted. It may be called at any time.
func (s *Seam) Metrics() Metrics {
	m := Metrics{Service: s.name, Since: s.since, HasBreaker: s.phase.HasBreaker(), Open: s.phase.Open() > 0, Opened: s.opened.Load()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.operations {
		m.Operations = append(m.Operations, o.metrics())
	}
	return m
}

func (o *Operation) metrics() OperationMetrics {
	m := OperationMetrics{Name: o.name, Retries: o.retries.Load(), Rejected: o.rejected.Load()}
	var ended int64
	for i, c := range categories {
		h := o.took[i].Load()
		if h == nil && i > 0 {
			continue
		}
		if h == nil {
			h = &meter.Histogram{} // so that the first call is seen as one more
		}
		d := h.Snapshot()
		ended += int64(d.Count)
		m.Calls = append(m.Calls, CallMetrics{Category: c, Duration: d})
	}
	m.Running = max(o.begun.Load()-ended, 0) // read last: what began meanwhile counts as running
	return m
}
