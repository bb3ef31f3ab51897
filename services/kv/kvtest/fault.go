package kvtest

import (
	"context"
	"slices"
	"time"

	"github.com/ergon-framework/ergon/services/kv"
)

// fault is what happens to attempts of some operations.
type fault struct {
	left       int // how many attempts it meets; below 0: all
	err        error
	late       bool // after the work
	delay      time.Duration
	delays     bool
	operations []string
}

func (f *fault) meets(op string) bool {
	if len(f.operations) == 0 {
		return op != "start"
	}
	return slices.Contains(f.operations, op)
}

func (m *memory) add(f *fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, f)
}

// call is do of one that was started.
func (m *memory) call(ctx context.Context, op string, work func() error) error {
	return m.do(ctx, op, func() error {
		if !m.started {
			return kv.ErrNotStarted
		}
		return work()
	})
}

// do does an attempt's work under the lock, with what a test has in store for it.
func (m *memory) do(ctx context.Context, op string, work func() error) error {
	m.mu.Lock()
	m.calls[op]++
	delay := m.delay(op)
	m.mu.Unlock()
	if err := wait(ctx, delay); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fault(op, false); err != nil {
		return err
	}
	if err := work(); err != nil {
		return err
	}
	return m.fault(op, true)
}

// delay is the one that was set last.
func (m *memory) delay(op string) (d time.Duration) {
	for _, f := range m.faults {
		if f.delays && f.meets(op) {
			d = f.delay
		}
	}
	return d
}

// fault spends one attempt of the first that meets it.
func (m *memory) fault(op string, late bool) error {
	for _, f := range m.faults {
		if f.err == nil || f.late != late || f.left == 0 || !f.meets(op) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f.err
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// quiet is a memory whose writes meet no fault and are not counted.
type quiet struct{ *memory }

func (q quiet) Write(_ context.Context, c kv.Change) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.write(c)
}
