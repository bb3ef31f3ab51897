package cli

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies are counted in buckets that are a sixty-fourth of their power of two wide,
// so a quantile is wrong by 1.6 % at most, however many are counted.
const (
	histBits  = 6
	histWidth = 1 << histBits
	histSize  = (64 - histBits) * histWidth
)

// histogram counts latencies. The zero value is ready; it is safe for concurrent use.
type histogram struct {
	buckets [histSize]atomic.Int64
	longest atomic.Int64
}

func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.buckets[histIndex(uint64(d))].Add(1)
	for {
		longest := h.longest.Load()
		if int64(d) <= longest || h.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// histIndex is the bucket of n: n itself while it is small, and then its power of two
// and the bits after its first.
func histIndex(n uint64) int {
	power := bits.Len64(n) - histBits - 1
	if power <= 0 {
		return int(n)
	}
	return power*histWidth + int(n>>power)
}

// histUpper is the most that bucket i counts.
func histUpper(i int) time.Duration {
	if i < 2*histWidth {
		return time.Duration(i)
	}
	power := i/histWidth - 1
	return time.Duration(uint64(i-power*histWidth+1)<<power - 1)
}

// quantiles are the latencies that the share q of all does not exceed.
func (h *histogram) quantiles(qs ...float64) []time.Duration {
	total := int64(0)
	var counts [histSize]int64
	for i := range counts {
		counts[i] = h.buckets[i].Load()
		total += counts[i]
	}
	longest := time.Duration(h.longest.Load())
	found := make([]time.Duration, len(qs))
	for k, q := range qs {
		rank, seen := max(int64(q*float64(total)+0.5), 1), int64(0)
		for i, n := range counts {
			if seen += n; seen >= rank {
				found[k] = min(histUpper(i), longest)
				break
			}
		}
	}
	return found
}
