// Package harness measures contenders against each other: it runs a nats-server
// and each contender in processes of their own, in turns, and checks every output
// and every dead letter, so that no figure stands for work that was not done.
package harness

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Options say what to measure.
type Options struct {
	N          int64 // transactions per run
	Rounds     int
	Workloads  []Workload
	Contenders []string // in the order of the table
	// Rate and For are how fast and how long a live workload is published.
	Rate int
	For  time.Duration
	// Timeout bounds one run.
	Timeout time.Duration
	// Profiles, if set, is a directory that gets profiles of each contender's latest
	// run of a workload.
	Profiles string
	// Progress is told of each run. May be nil.
	Progress func(text string)
}

func (o Options) validate() error {
	switch {
	case o.N < 2 || o.Rounds < 1:
		return errors.New("it takes two transactions (-n) and one round (-rounds) to measure anything")
	case o.Rate < 1 || float64(o.Rate)*o.For.Seconds() < 1:
		return errors.New("-rate and -for must make at least one transaction")
	case o.Timeout <= 0:
		return errors.New("-timeout must be above 0s")
	case len(o.Workloads) == 0 || len(o.Contenders) == 0:
		return errors.New("there is no workload, or no contender, to measure")
	}
	return nil
}

// Run measures and returns every result. It stops at the first run that goes
// wrong, with an error that says what was wrong with it. All that it started has
// ended when it returns.
func Run(ctx context.Context, o Options) (results []Result, err error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s, err := newStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.fill(ctx, o.N); err != nil {
		return nil, err
	}
	for _, w := range o.Workloads {
		for round := range o.Rounds {
			// Each round begins with another contender: none is always the first after
			// a pause, or always follows the same one.
			for i := range o.Contenders {
				name := o.Contenders[(i+round)%len(o.Contenders)]
				r, err := s.run(ctx, o, w, name)
				if err != nil {
					return results, fmt.Errorf("%s, round %d, %s: %w", w.Name, round+1, name, err)
				}
				results = append(results, r)
				tell(o.Progress, "%s round %d/%d %s", w.Name, round+1, o.Rounds, r)
			}
		}
	}
	return results, nil
}

func tell(progress func(string), format string, a ...any) {
	if progress != nil {
		progress(fmt.Sprintf(format, a...))
	}
}
