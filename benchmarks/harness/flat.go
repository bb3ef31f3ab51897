package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// FlatOptions say of what the cost of a transaction is to be independent.
type FlatOptions struct {
	N      int64 // transactions per run, and at least: a smaller backlog is repeated
	Rounds int
	// Backlogs are how many transactions wait at once, Tasks how many tasks share a
	// process, Slots how many transactions one task runs at once.
	Backlogs     []int64
	Tasks, Slots []int
	// Paced, if not 0, is how many transactions a second are published for the tasks
	// together while they run; else all wait when they begin. However many tasks there
	// are, the server can keep up with a rate that is low enough, so that rows compare.
	Paced int
	// One is the contender with one task; Many runs a job's parts with one publisher,
	// Apart with one each, Raw without Ergon. Where a name is empty, its settings are
	// left out.
	One, Many, Apart, Raw string
	// Timeout bounds one run.
	Timeout time.Duration
	// Profiles, if set, is a directory that gets profiles of the latest run in each
	// setting. They cost some time.
	Profiles string
	// Progress is told of each run. May be nil.
	Progress func(text string)
}

// FlatResult is one run in one setting.
type FlatResult struct {
	Dimension string // one of Dimensions
	Value     int64
	Repeats   int64 // of the backlog within the run
	// CPU is what a transaction cost, without Empty: what the same process used that
	// found no transaction.
	CPU, Empty time.Duration
	// Rate is how many transactions a second were done, the last one of a backlog included,
	// as far as the server kept up.
	Rate   float64
	MaxRSS int64 // in bytes; 0 where the system does not say
}

// Dimensions are what is varied.
var Dimensions = [...]string{"backlog", "tasks", "tasks-apart", "tasks-raw", "slots"}

// setting is one row of a table.
type setting struct {
	dimension     string
	value         int64
	contender     string
	backlog, runs int64
	tasks, slots  int
}

func (o FlatOptions) settings() (all []setting, err error) {
	if o.Paced < 0 {
		return nil, fmt.Errorf("%d transactions a second are no rate: -paced must be 0 or above", o.Paced)
	}
	if o.N < 2 || o.Rounds < 1 || o.Timeout <= 0 {
		return nil, errors.New("it takes two transactions (-n), one round (-rounds) and a -timeout above 0s to measure anything")
	}
	for _, b := range o.Backlogs {
		if b < 1 {
			return nil, fmt.Errorf("a backlog of %d is none: -backlogs must be 1 and above", b)
		}
		all = append(all, setting{Dimensions[0], b, o.One, b, max(1, o.N/b), 0, concurrency})
	}
	for _, n := range append(slices.Clone(o.Tasks), o.Slots...) {
		if n < 1 {
			return nil, fmt.Errorf("%d tasks or slots can do nothing: -tasks and -slots must be 1 and above", n)
		}
	}
	for i, contender := range []string{o.Many, o.Apart, o.Raw} {
		for _, t := range o.Tasks {
			all = append(all, setting{Dimensions[1+i], int64(t), contender, o.N, 1, t, concurrency})
		}
	}
	for _, n := range o.Slots {
		all = append(all, setting{Dimensions[4], int64(n), o.One, o.N, 1, 0, n})
	}
	if all = slices.DeleteFunc(all, func(s setting) bool { return s.contender == "" }); len(all) == 0 {
		return nil, errors.New("there is nothing to measure: -backlogs, -tasks and -slots are all empty")
	}
	return all, nil
}

// Flat measures W1 in each setting. It stops at the first run that goes wrong, and
// has ended all that it started when it returns.
func Flat(ctx context.Context, o FlatOptions) (results []FlatResult, err error) {
	all, err := o.settings()
	if err != nil {
		return nil, err
	}
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for round := range o.Rounds {
		for i := range all {
			set := all[(i+round)%len(all)]
			r, err := s.flat(ctx, o, set)
			if err != nil {
				return results, fmt.Errorf("%s %d, round %d: %w", set.dimension, set.value, round+1, err)
			}
			results = append(results, r)
			tell(o.Progress, "%s %d round %d/%d: %.2f µs CPU, %.0f/s, empty %.1f ms, %.1f MiB", set.dimension, set.value, round+1, o.Rounds,
				micros(r.CPU), r.Rate, micros(r.Empty)/1000, mebi(r.MaxRSS))
		}
	}
	return results, nil
}

func (s *stage) flat(ctx context.Context, o FlatOptions, set setting) (FlatResult, error) {
	empty, _, err := s.feed(ctx, o, set, 0)
	if err != nil {
		return FlatResult{}, err
	}
	full, took, err := s.feed(ctx, o, set, set.runs)
	n := set.backlog * set.runs
	return FlatResult{
		Dimension: set.dimension, Value: set.value, Repeats: set.runs,
		CPU: (full.cpu - empty.cpu) / time.Duration(n), Empty: empty.cpu, Rate: float64(n) / took.Seconds(), MaxRSS: full.MaxRSS,
	}, err
}

// feed starts a contender and lets it work off the backlog so many times, each of
// which is there as a whole before the first of it is delivered. It returns how long it
// took from there.
func (s *stage) feed(ctx context.Context, o FlatOptions, set setting, times int64) (_ did, took time.Duration, err error) {
	w := Workloads[0]
	w.live = true // its stream is filled while the contender is there
	making, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	job, err := s.set(making, w, times*set.backlog, set.tasks)
	if err != nil {
		return did{}, 0, err
	}
	defer func() { err = errors.Join(err, s.strike(job)) }()
	job.Concurrency, job.Window = set.slots, max(window, set.slots)
	if o.Profiles != "" && times > 0 {
		job.Profile = filepath.Join(o.Profiles, fmt.Sprintf("%s.%d", set.dimension, set.value))
	}
	working, cancel := within(ctx, o.Timeout, set.contender, w)
	defer cancel()
	c := newCast(working)
	err = c.start(set.contender, job)
	if err == nil {
		err = s.waiting(c.ctx, job)
	}
	if o.Paced > 0 && set.tasks > 0 && err == nil && times > 0 {
		took, err = s.servePaced(c.ctx, job, o.Paced)
		times = 0
	}
	for i := int64(0); i < times && err == nil; i++ {
		var d time.Duration
		d, err = s.serveBacklog(c.ctx, job, i*set.backlog, (i+1)*set.backlog)
		took += d
	}
	all, stopped := c.stop()
	if err = errors.Join(err, stopped); err != nil {
		return did{}, 0, err
	}
	_, err = s.examine(working, set.contender, w, job, job.Inputs, all[0].Report)
	return all[0], took, err
}

// serveBacklog returns how long the backlog took from its release on.
func (s *stage) serveBacklog(ctx context.Context, job *work.Job, from, to int64) (time.Duration, error) {
	if err := s.hold(ctx, job); err != nil {
		return 0, err
	}
	if err := s.pile(ctx, job, from, to); err != nil {
		return 0, err
	}
	if err := s.release(ctx, job); err != nil {
		return 0, err
	}
	began := time.Now()
	err := s.drained(ctx, job, to)
	return time.Since(began), err
}

// servePaced returns how long it took to publish all at the rate and to see them settled.
func (s *stage) servePaced(ctx context.Context, job *work.Job, rate int) (time.Duration, error) {
	began := time.Now()
	if _, err := s.publish(ctx, job, rate); err != nil {
		return 0, err
	}
	err := s.drained(ctx, job, job.Inputs)
	return time.Since(began), err
}
