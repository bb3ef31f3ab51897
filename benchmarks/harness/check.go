package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/benchmarks/work"
)

// found is what stands in the streams after a run.
type found struct {
	outputs, dead tallied
	sum           int64
	first, last   time.Time   // of outputs and dead letters
	at            []time.Time // when an input's output was stored
}

// tallied says how often each input was seen in a stream.
type tallied struct {
	seen   []int8 // capped at 2
	count  int64
	faults []error // the first few
}

func (t *tallied) add(id int64) {
	t.count++
	switch {
	case id < 0 || id >= int64(len(t.seen)):
		t.fault("input %d was never published", id)
	case t.seen[id] < 2:
		t.seen[id]++
	}
}

func (t *tallied) fault(format string, a ...any) {
	if len(t.faults) < 5 {
		t.faults = append(t.faults, fmt.Errorf(format, a...))
	}
}

// look reads all outputs and dead letters.
func (s *stage) look(ctx context.Context, job *work.Job, n int64) (*found, error) {
	f := &found{at: make([]time.Time, n)}
	f.outputs.seen, f.dead.seen = make([]int8, n), make([]int8, n)
	err := s.each(ctx, job.OutputStream, func(m jetstream.Msg, stored time.Time) {
		var out work.Out
		if err := json.Unmarshal(m.Data(), &out); err != nil {
			f.outputs.count++
			f.outputs.fault("an output is not JSON: %w", err)
			return
		}
		f.mark(stored)
		f.sum += out.Total
		f.outputs.add(out.ID)
		if out.ID < 0 || out.ID >= n {
			return
		}
		f.at[out.ID] = stored
		if want := work.Compute(work.Input(out.ID)); out != want {
			f.outputs.fault("the output of input %d is %+v, and not %+v", out.ID, out, want)
		}
		if parts := len(job.Parts); parts > 0 {
			if want := job.Parts[out.ID%int64(parts)].Output; m.Subject() != want {
				f.outputs.fault("the output of input %d is at %s, and not at %s", out.ID, m.Subject(), want)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	err = s.each(ctx, job.DeadStream, func(m jetstream.Msg, stored time.Time) {
		var in work.In
		if err := json.Unmarshal(m.Data(), &in); err != nil {
			f.dead.count++
			f.dead.fault("a dead letter is not JSON: %w", err)
			return
		}
		f.mark(stored)
		f.dead.add(in.ID)
		if want := work.Input(in.ID); in != want {
			f.dead.fault("the dead letter of input %d is not its payload", in.ID)
		}
	})
	return f, err
}

func (f *found) mark(stored time.Time) {
	if f.first.IsZero() || stored.Before(f.first) {
		f.first = stored
	}
	if stored.After(f.last) {
		f.last = stored
	}
}

// each calls f with every message of a stream; "" is none.
func (s *stage) each(ctx context.Context, stream string, f func(jetstream.Msg, time.Time)) error {
	if stream == "" {
		return nil
	}
	n, err := s.count(ctx, stream)
	if err != nil || n == 0 {
		return err
	}
	consumer, err := s.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", stream, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return fmt.Errorf("read stream %s: %w", stream, err)
	}
	defer messages.Stop()
	for range n {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read stream %s: %w", stream, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("read stream %s: %w", stream, err)
		}
		f(m, meta.Timestamp)
	}
	return nil
}

// check holds what was found and what the contender says against what must be.
func (w Workload) check(n int64, r work.Report, f *found) error {
	want := w.expects(n)
	errs := append(f.outputs.faults, f.dead.faults...)
	differs := func(what string, got, want int64) {
		if got != want {
			errs = append(errs, fmt.Errorf("%s: %d, and not %d", what, got, want))
		}
	}
	differs("attempts", r.Attempts, want.attempts)
	differs("the sum of the totals computed", r.Sum, want.sum)
	differs("outputs", f.outputs.count, want.outputs)
	differs("dead letters", f.dead.count, want.dead)
	if w.publishes {
		differs("the sum of the totals stored", f.sum, want.sum)
	}
	var lost, twice, strange int
	for id := range n {
		poison := w.faulty && work.Poison(id)
		for _, c := range []struct {
			seen int8
			want bool
		}{{f.outputs.seen[id], w.publishes && !poison}, {f.dead.seen[id], poison}} {
			switch {
			case c.want && c.seen == 0:
				lost++
			case c.want && c.seen > 1:
				twice++
			case !c.want && c.seen > 0:
				strange++
			}
		}
	}
	if lost+twice+strange > 0 {
		errs = append(errs, fmt.Errorf("%d lost, %d duplicates, %d where they don't belong", lost, twice, strange))
	}
	return errors.Join(errs...)
}
