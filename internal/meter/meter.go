// Package meter holds the plain atomics behind the per-transaction metrics. A
// record costs a few nanoseconds and no allocation; whoever exports them reads
// snapshots.
package meter

import (
	"math"
	"sync/atomic"
	"time"
)

// The fine buckets are those of OpenTelemetry's exponential histograms at scale 3,
// in seconds: eight per power of two, from a microsecond to an hour. The coarse ones
// have the bounds that people write into their queries.
const (
	// Scale of the fine buckets: each is 2^(1/8) times as wide as the one before.
	Scale    = 3
	perPower = 1 << Scale
	lowest   = -20 // the power of two of seconds that the first bucket begins at
	powers   = 32
	fine     = perPower * powers
	// Offset is the index of the first fine bucket, as OpenTelemetry counts.
	Offset = lowest * perPower
)

// Floor is what the first fine bucket begins at, in seconds. What is not above it is
// counted as zero.
var Floor = math.Ldexp(1, lowest)

// Bounds are the upper bounds of the coarse buckets, each inclusive. What lies above
// the last is counted in a bucket of its own.
var Bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

const coarse = len(Bounds) + 1

// thresholds are the mantissas, without their leading bit, that the eight buckets of
// a power of two begin above.
var thresholds = func() (t [perPower]uint64) {
	for i := range t {
		t[i] = math.Float64bits(math.Exp2(float64(i)/perPower)) & mantissa
	}
	return t
}()

const mantissa = 1<<52 - 1

// firstCoarse is the coarse bucket that the least of a fine bucket belongs to. A fine
// bucket is narrower than any two bounds are apart, so it reaches into the next at
// most.
var firstCoarse = func() (c [fine + 1]uint8) {
	for i := range c {
		least := 0.0
		if i > 0 {
			least = lower(i - 1)
		}
		for int(c[i]) < len(Bounds) && Bounds[c[i]].Seconds() <= least {
			c[i]++
		}
	}
	return c
}()

// lower is what fine bucket i begins above, in seconds.
func lower(i int) float64 { return math.Exp2(float64(i+Offset) / perPower) }

// Histogram counts durations in fine and in coarse buckets. The zero value is ready.
// It is safe for concurrent use.
type Histogram struct {
	sum    atomic.Int64           // in nanoseconds
	fine   [fine + 1]atomic.Int64 // the first is of what counts as zero
	coarse [coarse]atomic.Int64
}

// Record counts one duration. What is negative counts as 0, what is longer than the
// last fine bucket as that.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	i := index(d)
	c := int(firstCoarse[i])
	if c < len(Bounds) && d > Bounds[c] {
		c++
	}
	h.sum.Add(int64(d))
	h.fine[i].Add(1)
	h.coarse[c].Add(1)
}

// index finds the fine bucket, 0 for what counts as zero. A bucket's upper bound
// belongs to it.
func index(d time.Duration) int {
	bits := math.Float64bits(d.Seconds())
	i := (int(bits>>52) - 1023) * perPower
	// Halving three times finds the bucket of the power.
	m, k := bits&mantissa, 0
	if m > thresholds[4] {
		k = 4
	}
	if m > thresholds[k+2] {
		k += 2
	}
	if m > thresholds[k+1] {
		k++
	}
	if m == 0 {
		k = -1 // the power itself belongs to the bucket below
	}
	return min(max(i+k-Offset, -1), fine-1) + 1
}

// Snapshot is what a histogram held at a moment. Its numbers are read one after the
// other, so what is recorded meanwhile may stand in some of them alone; Count is of
// the coarse ones.
type Snapshot struct {
	Count  uint64
	Sum    time.Duration
	Coarse [coarse]uint64
	Zero   uint64
	Fine   [fine]uint64
}

// Snapshot reads the histogram.
func (h *Histogram) Snapshot() *Snapshot {
	s := &Snapshot{Sum: time.Duration(h.sum.Load()), Zero: uint64(h.fine[0].Load())}
	for i := range s.Fine {
		s.Fine[i] = uint64(h.fine[i+1].Load())
	}
	for i := range s.Coarse {
		s.Coarse[i] = uint64(h.coarse[i].Load())
		s.Count += s.Coarse[i]
	}
	return s
}

// Count is how many durations were recorded.
func (h *Histogram) Count() (n int64) {
	for i := range h.coarse {
		n += h.coarse[i].Load()
	}
	return n
}

// Quantile is the duration that a share q (0 to 1) of the recorded ones does not
// exceed, right to a twentieth; 0 when nothing was recorded.
func (s *Snapshot) Quantile(q float64) time.Duration {
	return time.Duration(Quantile(q, s.Zero, s.Fine[:]) * float64(time.Second))
}

// Quantile is Snapshot.Quantile, in seconds, of the fine buckets wherever they are
// by now: summed over several histograms, for one.
func Quantile(q float64, zero uint64, fine []uint64) float64 {
	total := zero
	for _, n := range fine {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := int64(max(uint64(q*float64(total)+0.5), 1)) - int64(zero)
	if rank <= 0 {
		return Floor
	}
	last := 0
	for i, n := range fine {
		if n > 0 {
			last = i
		}
		if rank -= int64(n); rank <= 0 {
			break
		}
	}
	return lower(last) * math.Exp2(0.5/perPower) // the bucket's geometric middle
}

// Quantile is Snapshot().Quantile(q).
func (h *Histogram) Quantile(q float64) time.Duration { return h.Snapshot().Quantile(q) }
