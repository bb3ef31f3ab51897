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

// collection is one reading of all engines.
type collection struct {
	now     time.Time
	kind    HistogramKind
	engines []engine.Metrics

	metrics []metricdata.Metrics
	attrs   []attribute.KeyValue // used again for each series
}

// read adds one metric, if it has a series.
func (c *collection) read(r reading) {
	switch {
	case r.metric.Kind == semconv.KindCounter:
		c.add(r.metric, sumOf(c.numbers(r, true)))
	case r.metric.Kind == semconv.KindGauge:
		if points := c.numbers(r, false); len(points) > 0 {
			c.add(r.metric, metricdata.Gauge[int64]{DataPoints: points})
		}
	case c.kind == HistogramExponential && r.metric.Unit == "s": // sizes have no fine buckets
		c.exponential(r)
	default:
		c.explicit(r)
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
func (c *collection) numbers(r reading, since bool) (points []metricdata.DataPoint[int64]) {
	for i := range c.engines {
		e := &c.engines[i]
		r.numbers(e, func(n int64, attrs ...attribute.KeyValue) {
			p := metricdata.DataPoint[int64]{Attributes: c.set(e.Task, attrs), Time: c.now, Value: n}
			if since {
				p.StartTime = e.Since
			}
			points = append(points, p)
		})
	}
	return points
}

// set are the attributes of a series of a task.
func (c *collection) set(task string, attrs []attribute.KeyValue) attribute.Set {
	c.attrs = append(append(c.attrs[:0], attribute.String(semconv.AttrTask, task)), attrs...)
	return attribute.NewSet(c.attrs...) // which copies them
}

func (c *collection) explicit(r reading) {
	var points []metricdata.HistogramDataPoint[float64]
	for i := range c.engines {
		e := &c.engines[i]
		r.histograms(e, func(h *engine.Histogram, attrs ...attribute.KeyValue) {
			points = append(points, metricdata.HistogramDataPoint[float64]{
				Attributes: c.set(e.Task, attrs), StartTime: e.Since, Time: c.now,
				Count: h.Count, Sum: h.Sum, Bounds: h.Bounds, BucketCounts: h.Counts,
			})
		})
	}
	if len(points) > 0 {
		c.add(r.metric, metricdata.Histogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality})
	}
}

func (c *collection) exponential(r reading) {
	var points []metricdata.ExponentialHistogramDataPoint[float64]
	for i := range c.engines {
		e := &c.engines[i]
		r.histograms(e, func(h *engine.Histogram, attrs ...attribute.KeyValue) {
			buckets, n := trim(h.Fine, h.Offset)
			points = append(points, metricdata.ExponentialHistogramDataPoint[float64]{
				Attributes: c.set(e.Task, attrs), StartTime: e.Since, Time: c.now,
				// h.Count is of the fixed buckets, which were read a moment later; a receiver
				// may refuse a histogram whose buckets don't add up.
				Count: n + h.Zero, Sum: h.Sum,
				Scale: int32(h.Scale), PositiveBucket: buckets, ZeroCount: h.Zero, ZeroThreshold: h.ZeroThreshold,
			})
		})
	}
	if len(points) > 0 {
		c.add(r.metric, metricdata.ExponentialHistogram[float64]{DataPoints: points, Temporality: metricdata.CumulativeTemporality})
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
