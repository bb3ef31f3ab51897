package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// Result is one run of one contender.
type Result struct {
	Workload  string `json:"workload"`
	Contender string `json:"contender"`
	// Rate is transactions per second, from the first to the last.
	Rate float64 `json:"rate"`
	// CPU is what the contender's process used for one transaction.
	CPU time.Duration `json:"cpu_ns"`
	// Latency is of a live workload: p50, p99 and p99.9.
	Latency [3]time.Duration `json:"latency_ns"`
}

// run lets one contender do one workload, and checks what it did.
func (s *stage) run(ctx context.Context, o Options, w Workload, name string) (_ Result, err error) {
	n := o.N
	if w.live {
		n = int64(float64(o.Rate) * o.For.Seconds())
	}
	setting, cancel := context.WithTimeout(ctx, 30*time.Second)
	job, err := s.set(setting, w, n, 0)
	cancel()
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.strike(job)) }()
	if o.Profiles != "" {
		job.Profile = filepath.Join(o.Profiles, w.Name+"."+name)
	}
	working, cancel := within(ctx, o.Timeout, name, w)
	defer cancel()
	c := newCast(working)
	err = c.start(name, job)
	var published []time.Time
	if err == nil && w.live {
		published, err = s.publish(c.ctx, job, o.Rate)
	}
	if err == nil {
		err = s.drained(c.ctx, job, n)
	}
	all, stopped := c.stop()
	if err = errors.Join(err, stopped); err != nil {
		return Result{}, err
	}
	one := all[0]
	found, err := s.examine(working, name, w, job, n, one.Report)
	if err != nil {
		return Result{}, err
	}
	r := Result{Workload: w.Name, Contender: name, CPU: one.cpu / time.Duration(n)}
	first, last := one.First, one.Last
	if w.publishes {
		first, last = found.first, found.last
	}
	r.Rate = rate(n, first, last)
	if w.live {
		r.Latency = percentiles(published, found.at)
	}
	return r, nil
}

// within bounds the work of one run.
func within(ctx context.Context, limit time.Duration, name string, w Workload) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("%s was not done with %s after %s: it lost or holds transactions, or -timeout is too short", name, w.Name, limit))
}

func rate(n int64, first, last time.Time) float64 {
	d := last.Sub(first).Seconds()
	if d <= 0 {
		return 0
	}
	return float64(n-1) / d
}

// examine reads what a run left behind and holds it against what must be there.
func (s *stage) examine(ctx context.Context, name string, w Workload, job *work.Job, n int64, r work.Report) (*found, error) {
	f, err := s.look(ctx, job, n)
	if err != nil {
		return nil, err
	}
	if err := w.check(n, r, f); err != nil {
		return nil, fmt.Errorf("%s did %s wrongly: %w", name, w.Name, err)
	}
	return f, nil
}

// drained waits until n transactions were delivered and settled. What a contender
// settled and did not do is found afterwards.
func (s *stage) drained(ctx context.Context, job *work.Job, n int64) error {
	for k, durable := range durables(job) {
		share := n
		if parts := int64(len(job.Parts)); parts > 0 {
			share = (n + parts - 1 - int64(k)) / parts
		}
		err := s.poll(ctx, job, durable, func(i *jetstream.ConsumerInfo) bool {
			return i.NumPending == 0 && i.NumAckPending == 0 && i.Delivered.Consumer >= uint64(share)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting returns when the contender has a pull request open for each consumer: its
// start is not to be part of what is measured.
func (s *stage) waiting(ctx context.Context, job *work.Job) error {
	for _, durable := range durables(job) {
		if err := s.poll(ctx, job, durable, func(i *jetstream.ConsumerInfo) bool { return i.NumWaiting > 0 }); err != nil {
			return err
		}
	}
	return nil
}

// poll looks at a consumer until it is as it should be.
func (s *stage) poll(ctx context.Context, job *work.Job, durable string, good func(*jetstream.ConsumerInfo) bool) error {
	consumer, err := s.js.Consumer(ctx, job.Stream, durable)
	if err != nil {
		return fmt.Errorf("look up consumer %s/%s: %w", job.Stream, durable, err)
	}
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := consumer.Info(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("look at consumer %s/%s: %w", job.Stream, durable, err)
		case good(info):
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
