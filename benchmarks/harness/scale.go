package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// ScaleConcurrency is how many transactions a process has at its slow service at
// once: with 5 ms each, some 6,000 a second, far from what a core can do. So what
// is measured is whether processes share the work, and not the machine.
const ScaleConcurrency = 32

// ScaleOptions say which numbers of processes are to share one consumer.
type ScaleOptions struct {
	N         int64 // transactions per run
	Rounds    int
	Processes []int
	Contender string
	// Timeout bounds one run.
	Timeout time.Duration
	// Progress is told of each run. May be nil.
	Progress func(text string)
}

// ScaleResult is one run of so many processes.
type ScaleResult struct {
	Processes int
	Rate      float64 // of all together, per second
	// Shares are the parts of the transactions that each process did, the largest first.
	Shares []float64
	// Cores is how many the processes kept busy; the server is not among them.
	Cores float64
}

// Scale measures W4 by one process and by several. It stops at the first run that
// goes wrong, and has ended all that it started when it returns.
func Scale(ctx context.Context, o ScaleOptions) (results []ScaleResult, err error) {
	if o.N < 2 || o.Rounds < 1 || o.Timeout <= 0 || len(o.Processes) == 0 || slices.Min(o.Processes) < 1 {
		return nil, errors.New("it takes two transactions (-n), one round (-rounds), one process and a -timeout above 0s to measure anything")
	}
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.fill(ctx, o.N); err != nil {
		return nil, err
	}
	for round := range o.Rounds {
		for i := range o.Processes {
			n := o.Processes[(i+round)%len(o.Processes)]
			r, err := s.scale(ctx, o, n)
			if err != nil {
				return results, fmt.Errorf("%d processes, round %d: %w", n, round+1, err)
			}
			results = append(results, r)
			tell(o.Progress, "%d processes round %d/%d: %.0f/s, %s, %.2f cores", n, round+1, o.Rounds, r.Rate, percents(r.Shares), r.Cores)
		}
	}
	return results, nil
}

func (s *stage) scale(ctx context.Context, o ScaleOptions, processes int) (_ ScaleResult, err error) {
	w := Workloads[3]
	making, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	job, err := s.set(making, w, o.N, 0)
	if err != nil {
		return ScaleResult{}, err
	}
	defer func() { err = errors.Join(err, s.strike(job)) }()
	job.Concurrency = ScaleConcurrency
	working, cancel := within(ctx, o.Timeout, o.Contender, w)
	defer cancel()
	c := newCast(working)
	err = s.share(c, o.Contender, job, processes)
	all, stopped := c.stop()
	if err = errors.Join(err, stopped); err != nil {
		return ScaleResult{}, err
	}
	sum := together(all)
	found, err := s.examine(working, o.Contender, w, job, o.N, sum.Report)
	if err != nil {
		return ScaleResult{}, err
	}
	r := ScaleResult{Processes: processes, Rate: rate(o.N, found.first, found.last)}
	if d := found.last.Sub(found.first); d > 0 {
		r.Cores = float64(sum.cpu) / float64(d)
	}
	for _, one := range all {
		r.Shares = append(r.Shares, float64(one.Attempts)/float64(o.N))
	}
	slices.SortFunc(r.Shares, func(a, b float64) int { return cmp.Compare(b, a) })
	return r, nil
}

// share starts all processes before the first of them gets anything: one that came
// later would seem to do less.
func (s *stage) share(c *cast, name string, job *work.Job, processes int) error {
	if err := s.hold(c.ctx, job); err != nil {
		return err
	}
	asked := 0
	for range processes {
		if err := c.start(name, job); err != nil {
			return err
		}
		var err error
		if asked, err = s.asking(c.ctx, job, asked); err != nil {
			return err
		}
	}
	if err := s.release(c.ctx, job); err != nil {
		return err
	}
	return s.drained(c.ctx, job, job.Inputs)
}

// asking returns the number of open pull requests when it is above before and has
// stayed as it is for a while: a contender may begin with more than one.
func (s *stage) asking(ctx context.Context, job *work.Job, before int) (now int, err error) {
	const polls = 8
	same := 0
	err = s.poll(ctx, job, job.Durable, func(i *jetstream.ConsumerInfo) bool {
		if i.NumWaiting != now {
			same = 0
		}
		now, same = i.NumWaiting, same+1
		return now > before && same > polls
	})
	return now, err
}
