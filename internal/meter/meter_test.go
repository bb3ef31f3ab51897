package meter_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon/internal/meter"
	"github.com/stretchr/testify/require"
)

func TestQuantilesAreNearTheTruth(t *testing.T) {
	var h meter.Histogram
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var sum time.Duration
	for range 20000 {
		d := time.Duration(rnd.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		sum += d
		h.Record(d)
	}
	slices.Sort(all)
	require.EqualValues(t, 20000, h.Count())
	require.Equal(t, sum, h.Snapshot().Sum)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		truth := all[int(q*float64(len(all)))]
		got := h.Quantile(q)
		require.InEpsilon(t, float64(truth), float64(got), 0.07, "q=%v", q)
	}
}

func TestEdges(t *testing.T) {
	var h meter.Histogram
	require.Zero(t, h.Quantile(0.5))
	h.Record(-time.Second)
	require.Less(t, h.Quantile(1), time.Microsecond)
	h.Record(100 * 24 * time.Hour)
	require.Greater(t, h.Quantile(1), time.Hour)
	require.EqualValues(t, 2, h.Count())
	s := h.Snapshot()
	require.EqualValues(t, 1, s.Zero)
	require.EqualValues(t, 1, s.Fine[len(s.Fine)-1])
	require.EqualValues(t, []uint64{1, 1}, []uint64{s.Coarse[0], s.Coarse[len(s.Coarse)-1]})
}

// Every duration lies in the one fine and the one coarse bucket that it belongs to:
// above the lower bound, and at or below the upper one.
func TestBucketsHoldWhatTheySay(t *testing.T) {
	bound := func(i int) float64 { return math.Exp2(float64(i+meter.Offset) / (1 << meter.Scale)) }
	check := func(d time.Duration) {
		var h meter.Histogram
		h.Record(d)
		s := h.Snapshot()
		if d.Seconds() <= meter.Floor {
			require.EqualValues(t, 1, s.Zero, d)
		} else {
			i := slices.Index(s.Fine[:], 1)
			require.GreaterOrEqual(t, i, 0, d)
			require.Greater(t, d.Seconds(), bound(i), d)
			require.LessOrEqual(t, d.Seconds(), bound(i+1), d)
		}
		c := slices.Index(s.Coarse[:], 1)
		require.Condition(t, func() bool { return c == len(meter.Bounds) || d <= meter.Bounds[c] }, d)
		require.Condition(t, func() bool { return c == 0 || d > meter.Bounds[c-1] }, d)
	}
	for d := time.Duration(0); d < time.Hour; d += d/37 + 70*time.Nanosecond {
		check(d)
	}
	for _, b := range meter.Bounds {
		check(b - 1)
		check(b)
		check(b + 1)
	}
	for power := -19; power < 12; power++ { // powers of two belong to the bucket below
		check(time.Duration(math.Ldexp(1, power) * float64(time.Second)))
	}
}

func TestHistogramConcurrentSafe(t *testing.T) {
	var h meter.Histogram
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				h.Record(time.Duration(i) * time.Microsecond)
				_ = h.Quantile(0.5)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 4000, h.Count())
	require.Equal(t, 4*999*500*time.Microsecond, h.Snapshot().Sum)
}

func BenchmarkRecord(b *testing.B) {
	var h meter.Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Record(1234567)
	}
}
