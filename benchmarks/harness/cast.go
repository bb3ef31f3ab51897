package harness

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// cast are the processes that do one run.
type cast struct {
	ctx  context.Context // ends also when one of them ends before it was told to
	fail context.CancelCauseFunc
	all  []*process
}

// did is what a process says and used; it has ended.
type did struct {
	work.Report
	cpu time.Duration // without what it took to become a process
}

func newCast(ctx context.Context) *cast {
	c := new(cast)
	c.ctx, c.fail = context.WithCancelCause(ctx)
	return c
}

// start adds a process. Whether or not it fails, stop must be called.
func (c *cast) start(name string, job *work.Job) error {
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	p, err := start(name, cmdContend, name, string(text))
	if err != nil {
		return err
	}
	c.all = append(c.all, p)
	go func() {
		<-p.ended
		c.fail(errors.New("the contender ended before it was done"))
	}()
	return nil
}

// stop ends them all and returns what each did.
func (c *cast) stop() ([]did, error) {
	defer c.fail(nil)
	for _, p := range c.all { // at once: none is to take what another one gives back
		_ = p.stdin.Close()
	}
	var errs []error
	for _, p := range c.all {
		defer p.pipe.Close()
		errs = append(errs, p.stop())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	all := make([]did, len(c.all))
	for i, p := range c.all {
		if err := p.read(ctx, &all[i].Report); err != nil {
			return nil, err
		}
		all[i].cpu = p.cpu() - all[i].SetupCPU
	}
	return all, nil
}

// together is what all of them did.
func together(all []did) did {
	sum := all[0]
	for _, d := range all[1:] {
		sum.Attempts += d.Attempts
		sum.Sum += d.Sum
		sum.cpu += d.cpu
		sum.MaxRSS = max(sum.MaxRSS, d.MaxRSS)
		if d.First.Before(sum.First) {
			sum.First = d.First
		}
		if d.Last.After(sum.Last) {
			sum.Last = d.Last
		}
	}
	return sum
}
