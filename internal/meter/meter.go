// Package meter holds the plain atomics behind the per-transaction metrics. A
// record costs a few nanoseconds and no allocation; whoever exports them reads
// snapshots.
package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// buckets is how many a histogram has: 8 per power of two from 1 µs on, over 28
// powers, which reaches beyond four minutes.
const (
	perPower = 8
	powers   = 28
	buckets  = perPower * powers
)

// Histogram counts durations in log-linear buckets, each at most an eighth wide
// of its lower bound, so a quantile is right to about 6 %. The zero value is
// ready. It is safe for concurrent use.
type Histogram struct {
	count, sum atomic.Int64 // sum in nanoseconds
	bucket     [buckets]atomic.Int64
}

// Record counts one duration. What is negative counts as 0, what is longer than
// the last bucket as the last.
func (h *Histogram) Record(d time.Duration) {
	h.count.Add(1)
	h.sum.Add(int64(max(d, 0)))
	h.bucket[index(d)].Add(1)
}

// Count is how many durations were recorded.
func (h *Histogram) Count() int64 { return h.count.Load() }

// Sum is all recorded durations together.
func (h *Histogram) Sum() time.Duration { return time.Duration(h.sum.Load()) }

// Quantile is the duration that a share q (0 to 1) of the recorded ones does not
// exceed, to the bucket's upper bound; 0 when nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	var counts [buckets]int64
	var total int64
	for i := range counts {
		counts[i] = h.bucket[i].Load()
		total += counts[i]
	}
	if total == 0 {
		return 0
	}
	rank := max(int64(q*float64(total)+0.5), 1)
	for i, n := range counts {
		if rank -= n; rank <= 0 {
			return upper(i)
		}
	}
	return upper(buckets - 1)
}

// index finds the bucket: the power of two of the microseconds, and the three
// bits below the leading one.
func index(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < perPower {
		return int(us) // the first eight are exact microseconds
	}
	power := bits.Len64(us) - 1 // at least 3
	i := (power-2)*perPower + int(us>>(power-3))&(perPower-1)
	return min(i, buckets-1)
}

// upper is the first duration that no longer belongs to bucket i.
func upper(i int) time.Duration {
	if i < perPower {
		return time.Duration(i+1) * time.Microsecond
	}
	power, step := i/perPower+2, i%perPower
	return time.Duration(uint64(perPower+step+1)<<(power-3)) * time.Microsecond
}
