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
	wait [2]atomic.Int64 // effective ack deadlines, of fresh and of parked ones; 0: no such consumer
	last atomic.Int64    // everything sent before this moment has arrived
	ask  chan struct{}
	stop context.CancelFunc
	done sync.WaitGroup
}

// The consumers of a source, as leases knows them.
const (
	fresh = iota
	due
)

func newLeases(b *bus.Bus) *leases {
	ctx, stop := context.WithCancel(context.Background())
	l := &leases{bus: b, ask: make(chan struct{}, 1), stop: stop}
	l.done.Go(func() { l.run(ctx) })
	return l
}

// ackWait is the effective ack deadline: what the server has, not what a file says.
// Where the two consumers differ, somebody has changed one: the shorter holds for
// both.
func (l *leases) ackWait() time.Duration {
	d := l.wait[fresh].Load()
	if p := l.wait[due].Load(); p > 0 {
		d = min(d, p)
	}
	return time.Duration(d)
}

// follow notes a consumer's deadline, and returns the one before.
func (l *leases) follow(which int, ackWait time.Duration) (was time.Duration) {
	return time.Duration(l.wait[which].Swap(int64(ackWait)))
}

// keep is how long a confirmed renewal is relied on. The margin is for the way to
// us: the server's clock began when it sent.
func (l *leases) keep() time.Duration { return l.ackWait() - l.ackWait()/8 }

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
		trip, cancel := context.WithTimeout(ctx, l.keep())
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
