package harness

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

func TestTable(t *testing.T) {
	w, err := Select("w1, W3")
	require.NoError(t, err)
	o := Options{Workloads: w, Contenders: []string{"raw", "raw-wire", "mine"}}
	var results []Result
	for i, name := range o.Contenders {
		for round := range 3 { // medians: 2000, 4000, 6000
			rate := float64(1000 * (i + 1) * (round + 1))
			results = append(results,
				Result{Workload: "W1", Contender: name, Rate: rate, CPU: 10 * time.Microsecond},
				Result{Workload: "W3", Contender: name, Rate: 2000, Latency: [3]time.Duration{time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond}})
		}
	}
	var text strings.Builder
	require.NoError(t, Table(&text, NewRecord(o, results)))
	require.Regexp(t, `mine +6000 +3\.00 +1\.50 +10\.00 +1\.00 +1\.00`, text.String())
	require.Regexp(t, `mine +1\.000 +1\.00 +1\.00 +2\.000 `, text.String())
}

func TestMedianAndPercentiles(t *testing.T) {
	require.Zero(t, median(nil))
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 3, 1, 2}))
	published, stored := make([]time.Time, 1000), make([]time.Time, 1000)
	for i := range published {
		published[i] = time.Unix(int64(i), 0)
		stored[i] = published[i].Add(time.Duration(i) * time.Millisecond)
	}
	require.Equal(t, [3]time.Duration{500 * time.Millisecond, 990 * time.Millisecond, 999 * time.Millisecond}, percentiles(published, stored))
}

// What is expected follows from the shares: a tenth once, a hundredth always.
func TestExpectation(t *testing.T) {
	for _, w := range Workloads {
		e := w.expects(1000)
		switch {
		case w.faulty:
			require.Equal(t, [3]int64{990, 10, 1000 + 100 + 20}, [3]int64{e.outputs, e.dead, e.attempts})
		case w.publishes:
			require.Equal(t, [3]int64{1000, 0, 1000}, [3]int64{e.outputs, e.dead, e.attempts})
		default:
			require.Equal(t, [3]int64{0, 0, 1000}, [3]int64{e.outputs, e.dead, e.attempts})
		}
	}
	require.Len(t, work.Encoded(0), work.Size)
	require.Len(t, work.Encoded(1_000_000), work.Size)
}

// The dead letters and outputs of W5 are held apart: one in the wrong place is
// found, though all the numbers are right.
func TestWrongPlace(t *testing.T) {
	w := Workloads[4]
	f, report := perfect(w, 200)
	require.NoError(t, w.check(200, report, f))
	f.outputs.seen[7], f.outputs.seen[8] = 1, 0
	f.dead.seen[7], f.dead.seen[8] = 0, 1
	require.ErrorContains(t, w.check(200, report, f), "2 lost, 0 duplicates, 2 where they don't belong")
}

// perfect is what a run without a fault leaves behind.
func perfect(w Workload, n int64) (*found, work.Report) {
	e := w.expects(n)
	f := &found{sum: e.sum}
	f.outputs.seen, f.dead.seen = make([]int8, n), make([]int8, n)
	for id := range n {
		if w.faulty && work.Poison(id) {
			f.dead.add(id)
		} else if w.publishes {
			f.outputs.add(id)
		}
	}
	return f, work.Report{Attempts: e.attempts, Sum: e.sum}
}
