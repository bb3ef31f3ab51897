package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// Result is one run of one contender.
type Result struct {
	Workload, Contender string
	// Rate is transactions per second, from the first to the last.
	Rate float64
	// CPU is what the contender's process used for one transaction.
	CPU time.Duration
	// Latency is of a live workload: p50, p99 and p99.9.
	Latency [3]time.Duration
}

// run lets one contender do one workload, and checks what it did.
func (s *stage) run(ctx context.Context, o Options, w Workload, name string) (_ Result, err error) {
	n := o.N
	if w.live {
		n = int64(float64(o.Rate) * o.For.Seconds())
	}
	setting, cancel := context.WithTimeout(ctx, 30*time.Second)
	job, err := s.set(setting, w, n)
	cancel()
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.strike(job)) }()
	if o.Profiles != "" {
		job.Profile = filepath.Join(o.Profiles, w.Name+"."+name)
	}
	text, err := json.Marshal(job)
	if err != nil {
		return Result{}, err
	}
	p, err := start(name, cmdContend, name, string(text))
	if err != nil {
		return Result{}, err
	}
	defer p.pipe.Close()
	working, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		fmt.Errorf("%s was not done with %s after %s: it lost or holds transactions, or -timeout is too short", name, w.Name, o.Timeout))
	defer cancel()
	var published []time.Time
	if w.live {
		published, err = s.publish(working, p, job, o.Rate)
	}
	if err == nil {
		err = s.drained(working, p, job, n)
	}
	if stopped := p.stop(); err != nil || stopped != nil {
		return Result{}, errors.Join(err, stopped)
	}
	var report work.Report
	if err := p.read(working, &report); err != nil {
		return Result{}, err
	}
	found, err := s.look(working, job, n)
	if err != nil {
		return Result{}, err
	}
	if err := w.check(n, report, found); err != nil {
		return Result{}, fmt.Errorf("%s did %s wrongly: %w", name, w.Name, err)
	}
	r := Result{Workload: w.Name, Contender: name, CPU: (p.cpu() - report.SetupCPU) / time.Duration(n)}
	first, last := report.First, report.Last
	if w.publishes {
		first, last = found.first, found.last
	}
	if d := last.Sub(first).Seconds(); d > 0 {
		r.Rate = float64(n-1) / d
	}
	if w.live {
		r.Latency = percentiles(published, found.at)
	}
	return r, nil
}

// drained waits until everything was delivered and settled. What a contender
// settled and did not do is found afterwards.
func (s *stage) drained(ctx context.Context, p *process, job *work.Job, n int64) error {
	consumer, err := s.js.Consumer(ctx, job.Stream, job.Durable)
	if err != nil {
		return fmt.Errorf("look up consumer %s/%s: %w", job.Stream, job.Durable, err)
	}
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := consumer.Info(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("look at consumer %s/%s: %w", job.Stream, job.Durable, err)
		case info.NumPending == 0 && info.NumAckPending == 0 && info.Delivered.Stream >= uint64(n):
			return nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return errors.New("the contender ended before it was done")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
