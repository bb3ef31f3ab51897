package jetstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon/bus"
)

// leases knows which renewals have reached the server. A renewal is a publish
// without an answer; a round trip on the same connection after it shows that
// the server has read it. One round trip confirms all renewals before it, so a
// sweep costs one, however much is held.
type leases struct {
	bus  *bus.Bus
	keep time.Duration // how long a confirmed renewal is relied on: ack_wait less a margin
	last atomic.Int64  // everything sent before this moment has arrived
	ask  chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

func newLeases(b *bus.Bus, ackWait time.Duration) *leases {
	ctx, stop := context.WithCancel(context.Background())
	// The margin is for the way to us: the server's clock began when it sent.
	l := &leases{bus: b, keep: ackWait - ackWait/8, ask: make(chan struct{}, 1), stop: stop}
	l.done.Go(func() { l.run(ctx) })
	return l
}

// confirm asks for a round trip, soon.
func (l *leases) confirm() {
	select {
	case l.ask <- struct{}{}:
	default:
	}
}

// confirmed reports whether what was sent at a moment has arrived.
func (l *leases) confirmed(sent time.Time) bool { return sent.UnixNano() <= l.last.Load() }

func (l *leases) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.ask:
		}
		// Renewals sent after this moment may or may not be confirmed by this round
		// trip; they have asked for the next one.
		now := time.Now().UnixNano()
		trip, cancel := context.WithTimeout(ctx, l.keep)
		err := l.bus.ConsumeConn().FlushWithContext(trip)
		cancel()
		if err == nil {
			l.last.Store(now)
		}
	}
}

func (l *leases) close() {
	l.stop()
	l.done.Wait()
}
