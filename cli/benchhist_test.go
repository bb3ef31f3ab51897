package cli

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Each bucket begins where the one before ends, and what is counted in one is no
// further from its upper bound than a sixty-fourth.
func TestHistogramBuckets(t *testing.T) {
	last := time.Duration(-1)
	for i := range histIndex(math.MaxInt64) {
		upper := histUpper(i)
		require.Greater(t, upper, last)
		require.Equal(t, i, histIndex(uint64(upper)), "%d", upper)
		require.Equal(t, i, histIndex(uint64(last+1)), "%d", upper)
		require.LessOrEqual(t, float64(upper-last-1), float64(upper)/64)
		last = upper
	}
}

// A quantile is that of the sorted latencies, or above it by a sixty-fourth.
func TestHistogramQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 1, 300).Draw(t, "latencies")
		var h histogram
		for _, n := range all {
			h.record(time.Duration(n))
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := float64(all[max(int(q*float64(len(all))+0.5), 1)-1])
			got := float64(h.quantiles(q)[0])
			require.GreaterOrEqual(t, got, exact)
			require.LessOrEqual(t, got, exact*65/64+1)
		}
		require.Equal(t, all[len(all)-1], int64(h.quantiles(1)[0]))
	})
}

func TestHistogramOfNothing(t *testing.T) {
	var h histogram
	require.Equal(t, []time.Duration{0, 0}, h.quantiles(0.5, 1))
	h.record(-time.Second) // a clock that went back
	require.Equal(t, []time.Duration{0, 0}, h.quantiles(0.5, 1))
}

// What is stamped into a payload is read back, at any size.
func TestBenchPayload(t *testing.T) {
	for _, size := range []int{benchLeast, benchLeast + 1, 4096} {
		blank := (&benchRun{bench: &bench{size: size}}).blank()
		require.Len(t, blank, size)
		for _, due := range []time.Duration{0, 7, time.Second, math.MaxInt64} {
			payload := stamped(blank, due)
			require.Len(t, payload, size)
			require.JSONEq(t, string(payload), string(payload), "it is JSON")
			got, ok := dueOf(payload)
			require.True(t, ok)
			require.Equal(t, due, got)
		}
	}
	_, ok := dueOf([]byte("{}"))
	require.False(t, ok)
}
