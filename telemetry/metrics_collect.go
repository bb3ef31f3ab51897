package telemetry

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// collection is one reading of all engines and services.
type collection struct {
	now     time.Time
	kind    HistogramKind
	engines []engine.Metrics

	metrics []metricdata.Metrics
	attrs   []attribute.KeyValue // used again for each series
}

// A series of numbers or a histogram, with the time since which it counts.
type (
	addNumbers    func(n int64, since time.Time, attrs attribute.Set)
	addHistograms func(h *engine.Histogram, since time.Time, attrs attribute.Set)
)

// read adds one metric of the engines, if it has a series.
func (c *collection) read(r reading) {
	c.show(r.metric,
		func(add addNumbers) {
			for i := range c.engines {
				e := &c.engines[i]
				r.numbers(e, func(n int64, attrs ...attribute.KeyValue) {
					add(n, e.Since, c.set(attribute.String(semconv.AttrTask, e.Task), attrs))
				})
			}
		},
		func(add addHistograms) {
			for i := range c.engines {
				e := &c.engines[i]
				r.histograms(e, func(h *engine.Histogram, attrs ...attribute.KeyValue) {
					add(h, e.Since, c.set(attribute.String(semconv.AttrTask, e.Task), attrs))
				})
			}
		})
}

// show adds one metric by what visits its series; which of the two is called depends on
// its kind.
func (c *collection) show(m semconv.Metric, numbers func(addNumbers), histograms func(addHistograms)) {
	switch {
	case m.Kind == semconv.KindCounter:
		c.add(m, sumOf(c.numbers(numbers, true)))
	case m.Kind == semconv.KindGauge:
		if points := c.numbers(numbers, false); len(points) > 0 {
			c.add(m, metricdata.Gauge[int64]{DataPoints: points})
		}
	case c.kind == HistogramExponential && m.Unit == "s": // sizes have no fine buckets
		c.exponential(m, histograms)
	default:
		c.explicit(m, histograms)
	}
}

func (c *collection) add(m semconv.Metric, data metricdata.Aggregation) {
	if data != nil {
		c.metrics = append(c.metrics, metricdata.Metrics{Name: m.Name, Description: m.Description, Unit: m.Unit, Data: data})
	}
}

func sumOf(points []metricdata.DataPoint[int64]) metricdata.Aggregation {
	if len(points) == 0 {
		return nil
	}
	return metricdata.Sum[int64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true}
}

// numbers are the series of a counter or, without a time at which they began, a gauge.
func (c *collection) numbers(visit func(addNumbers), counter bool) (points []metricdata.DataPoint[int64]) {
	visit(func(n int64, since time.Time, attrs attribute.Set) {
		p := metricdata.DataPoint[int64]{Attributes: attrs, Time: c.now, Value: n}
		if counter {
			p.StartTime = since
		}
		points = append(points, p)
	})
	return points
}

// set are the attributes of a series: whose it is, and the rest.
func (c *collection) set(whose attribute.KeyValue, attrs []attribute.KeyValue) attribute.Set {
	c.attrs = append(append(c.attrs[:0], whose), attrs...)
	return attribute.NewSet(c.attrs...) // which copies them
}

func (c *collection) explicit(m semconv.Metric, visit func(addHistograms)) {
	var points []metricdata.HistogramDataPoint[float64]
	visit(func(h *engine.Histogram, since time.Time, attrs attribute.Set) {
		points = append(points, metricdata.HistogramDataPoint[float64]{
			Attributes: attrs, StartTime: since, Time: c.now,
			Count: h.Count, Sum: h.Sum, Bounds: h.Bounds, BucketCounts: h.Counts,
		})
	})
	if len(points) > 0 {
		c.add(m, metricdata.Histogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality})
	}
}

func (c *collection) exponential(m semconv.Metric, visit func(addHistograms)) {
	var points []metricdata.ExponentialHistogramDataPoint[float64]
	visit(func(h *engine.Histogram, since time.Time, attrs attribute.Set) {
		buckets, n := trim(h.Fine, h.Offset)
		points = append(points, metricdata.ExponentialHistogramDataPoint[float64]{
			Attributes: attrs, StartTime: since, Time: c.now,
			// h.Count is of the fixed buckets, which were read a moment later; a receiver
			// may refuse a histogram whose buckets don't add up.
			Count: n + h.Zero, Sum: h.Sum,
			Scale: int32(h.Scale), PositiveBucket: buckets, ZeroCount: h.Zero, ZeroThreshold: h.ZeroThreshold,
		})
	})
	if len(points) > 0 {
		c.add(m, metricdata.ExponentialHistogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality})
	}
}

// trim leaves out the empty buckets at both ends, and counts what is in the others.
func trim(counts []uint64, offset int) (b metricdata.ExponentialBucket, n uint64) {
	first, last := 0, -1
	for i, in := range counts {
		if in == 0 {
			continue
		}
		if last < 0 {
			first = i
		}
		last = i
		n += in
	}
	if last < 0 {
		return b, 0
	}
	return metricdata.ExponentialBucket{Offset: int32(offset + first), Counts: counts[first : last+1]}, n
}

// failures adds how many exports failed. They are no engine's.
func (c *collection) bySignal(metric semconv.Metric, bySignal map[string]int64, since time.Time) {
	var points []metricdata.DataPoint[int64]
	for _, signal := range slices.Sorted(maps.Keys(bySignal)) {
		points = append(points, metricdata.DataPoint[int64]{
			Attributes: attribute.NewSet(attribute.String(semconv.AttrSignal, signal)),
			StartTime:  since, Time: c.now, Value: bySignal[signal],
		})
	}
	c.add(metric, sumOf(points))
}
