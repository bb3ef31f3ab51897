package harness

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// publish publishes transactions at a rate and returns when it published each.
// It keeps to the clock and not to the contender: one that stalls gets what
// became due meanwhile all the same.
func (s *stage) publish(ctx context.Context, job *work.Job, rate int) ([]time.Time, error) {
	if err := s.waiting(ctx, job); err != nil {
		return nil, err
	}
	at := make([]time.Time, job.Inputs)
	payloads := make([][]byte, job.Inputs)
	for i := range payloads {
		payloads[i] = work.Encoded(int64(i))
	}
	begin := time.Now()
	for i := range at {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		at[i] = time.Now()
		if _, err := s.js.PublishAsync(subjectOf(job, int64(i)), payloads[i], jetstream.WithStallWait(stallWait)); err != nil {
			return nil, fmt.Errorf("publish at %d/s: %w", rate, err)
		}
	}
	return at, nil
}

// percentiles are quantiles of the times from publish to storage. The server's clock is
// ours: it runs on the same machine.
func percentiles(published, stored []time.Time) [3]time.Duration {
	all := make([]time.Duration, len(published))
	for i := range all {
		all[i] = stored[i].Sub(published[i])
	}
	return quantiles(all)
}

// quantiles are p50, p99 and p99.9. They sort all.
func quantiles(all []time.Duration) (p [3]time.Duration) {
	slices.Sort(all)
	for i, q := range [...]float64{0.5, 0.99, 0.999} {
		if len(all) > 0 {
			p[i] = all[min(int(q*float64(len(all))), len(all)-1)]
		}
	}
	return p
}
