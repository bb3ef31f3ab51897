package engine

import (
	"slices"

	"github.com/ergon-framework/ergon/internal/meter"
)

// Quantile is the value that a share q (0 to 1) of the counted ones does not exceed:
// for durations in seconds and right to a twentieth, for sizes the bound of their
// bucket. It is 0 when nothing was counted.
func (h Histogram) Quantile(q float64) float64 {
	if h.Fine != nil {
		return meter.Quantile(q, h.Zero, h.Fine)
	}
	if h.Count == 0 || len(h.Bounds) == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.Count)+0.5), 1)
	for i, bound := range h.Bounds {
		if h.Counts[i] >= rank {
			return bound
		}
		rank -= h.Counts[i]
	}
	return h.Bounds[len(h.Bounds)-1]
}

// Plus is what h and o counted, in one. They are of the same kind: both of durations,
// or both of sizes.
func (h Histogram) Plus(o Histogram) Histogram {
	h.Count, h.Sum, h.Zero = h.Count+o.Count, h.Sum+o.Sum, h.Zero+o.Zero
	h.Counts, h.Fine = added(h.Counts, o.Counts), added(h.Fine, o.Fine)
	return h
}

func added(a, b []uint64) []uint64 {
	sum := slices.Clone(a)
	for i := range b {
		sum[i] += b[i]
	}
	return sum
}
