package meter_test

import (
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
	require.Equal(t, sum, h.Sum())
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999} {
		truth := all[int(q*float64(len(all)))]
		got := h.Quantile(q)
		require.InEpsilon(t, float64(truth), float64(got), 0.15, "q=%v", q)
	}
}

func TestEdges(t *testing.T) {
	var h meter.Histogram
	require.Zero(t, h.Quantile(0.5))
	h.Record(-time.Second)
	require.Equal(t, time.Microsecond, h.Quantile(1))
	h.Record(100 * 24 * time.Hour)
	require.Greater(t, h.Quantile(1), 2*time.Minute)
	require.EqualValues(t, 2, h.Count())
}

// Every duration lies in a bucket whose upper bound is above it and not further
// away than an eighth.
func TestBucketsHoldWhatTheySay(t *testing.T) {
	for d := time.Duration(0); d < 200*time.Second; d += d/7 + 700*time.Nanosecond {
		var h meter.Histogram
		h.Record(d)
		up := h.Quantile(0.5)
		require.Greater(t, up, d.Truncate(time.Microsecond))
		require.LessOrEqual(t, up, d+d/8+time.Microsecond, d.String())
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
	require.Equal(t, 4*999*500*time.Microsecond, h.Sum())
}

func BenchmarkRecord(b *testing.B) {
	var h meter.Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Record(1234567)
	}
}
