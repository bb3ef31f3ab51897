package harness

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// Workload is one of the kinds of work that are measured.
type Workload struct {
	Name, Title string
	publishes   bool
	wait        time.Duration
	faulty      bool
	live        bool // published while it is worked on, and judged by its latency
}

// Workloads are all of them.
var Workloads = []Workload{
	{Name: "W1", Title: "transform: consume, process, publish, ack", publishes: true},
	{Name: "W2", Title: "sink: consume, process, ack"},
	{Name: "W3", Title: "latency: from publish to the output stream", publishes: true, live: true},
	{Name: "W4", Title: "slow service: process waits 5 ms, 256 at once", publishes: true, wait: 5 * time.Millisecond},
	{Name: "W5", Title: "faulty: 10 % fail once, 1 % always", publishes: true, faulty: true},
}

// Bounds that are the same for all contenders; they are Ergon's defaults, but for
// the attempts and the backoff, which W5 states.
const (
	concurrency = 256
	window      = 1024
	attempts    = 3
	backoff     = 10 * time.Millisecond
)

// Select finds workloads by their names, separated by commas.
func Select(names string) ([]Workload, error) {
	var chosen []Workload
	for name := range strings.SplitSeq(names, ",") {
		name = strings.ToUpper(strings.TrimSpace(name))
		i := slices.IndexFunc(Workloads, func(w Workload) bool { return w.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no workload %q: choose from W1, W2, W3, W4, W5, separated by commas", name)
		}
		chosen = append(chosen, Workloads[i])
	}
	return chosen, nil
}

// expectation is what must be true after n transactions.
type expectation struct {
	outputs  int64
	sum      int64 // of the totals
	dead     int64
	attempts int64
}

func (w Workload) expects(n int64) expectation {
	var e expectation
	for id := range n {
		e.attempts++
		if w.faulty && work.Poison(id) {
			e.dead++
			e.attempts += attempts - 1
			continue
		}
		if w.faulty && work.FailsOnce(id) {
			e.attempts++
		}
		e.sum += work.Compute(work.Input(id)).Total
		if w.publishes {
			e.outputs++
		}
	}
	return e
}
