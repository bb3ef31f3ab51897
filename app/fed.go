package app

import (
	"context"
	"errors"
	"time"

	"github.com/ergon-framework/ergon"
)

// fedEvery is how often a drained source with a running feeder is looked at.
const fedEvery = 50 * time.Millisecond

// fed is a source that other tasks of this run send to. It is drained only when
// they have ended: an empty stream may be about to get what they are working
// on.
type fed struct {
	ergon.Source
	feeds []<-chan struct{}
}

// Fetch looks whether the feeders have ended before it asks: what they sent
// last is stored by then, and this fetch sees it.
func (f *fed) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	for {
		ended := f.ended()
		deliveries, err := f.Source.Fetch(ctx, max)
		if ended || !errors.Is(err, ergon.ErrDrained) {
			return deliveries, err
		}
		timer := time.NewTimer(fedEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

var (
	_ ergon.Readier        = (*fed)(nil)
	_ ergon.Prefetcher     = (*fed)(nil)
	_ ergon.Backlogger     = (*fed)(nil)
	_ ergon.HealthReporter = (*fed)(nil)
	_ ergon.LagReporter    = (*fed)(nil)
)

// Prefetch is the source's.
func (f *fed) Prefetch(n int) {
	if p, ok := f.Source.(ergon.Prefetcher); ok {
		p.Prefetch(n)
	}
}

// Backlog is the source's.
func (f *fed) Backlog() bool {
	b, ok := f.Source.(ergon.Backlogger)
	return ok && b.Backlog()
}

// Health is the source's.
func (f *fed) Health() error {
	if r, ok := f.Source.(ergon.HealthReporter); ok {
		return r.Health()
	}
	return nil
}

// Lag is the source's.
func (f *fed) Lag() ergon.Lag {
	if r, ok := f.Source.(ergon.LagReporter); ok {
		return r.Lag()
	}
	return ergon.Lag{}
}

// Ready is the source's.
func (f *fed) Ready() <-chan struct{} {
	if r, ok := f.Source.(ergon.Readier); ok {
		return r.Ready()
	}
	return nil
}

func (f *fed) ended() bool {
	for _, ended := range f.feeds {
		select {
		case <-ended:
		default:
			return false
		}
	}
	return true
}
