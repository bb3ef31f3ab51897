package http

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

// OutcomesConfig are the settings of [Outcomes]. A zero value is the default.
type OutcomesConfig struct {
	// Records are to be brought up to date. Required.
	Records Records
	// Sources are those of the transactions that there are records of: Route.Source of each
	// route. Default: all are looked for, as those of routes for peers have to be.
	Sources []string
	// Queue is how many outcomes may wait to be recorded. Default 1024.
	Queue int
	// Timeout is how long one may take. Default 5 s.
	Timeout time.Duration
	// OnError is told of each that could not be recorded, and must not block. Default:
	// nobody.
	OnError func(error)
}

// Outcomes bring records up to date with what engines did. They are wherever the
// transactions are processed, which need not be where they were received. Tell may be
// called concurrently.
type Outcomes struct {
	cfg     OutcomesConfig
	queue   chan outcome
	dropped atomic.Uint64

	mu     sync.RWMutex
	closed bool
	ended  chan struct{}
	cancel context.CancelFunc
}

type outcome struct {
	id, reason string
	state      State
}

// NewOutcomes starts the one goroutine that records. Close ends it.
func NewOutcomes(cfg OutcomesConfig) *Outcomes {
	orDefault(&cfg.Queue, 1024)
	orDefault(&cfg.Timeout, 5*time.Second)
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &Outcomes{cfg: cfg, queue: make(chan outcome, max(cfg.Queue, 1)), ended: make(chan struct{}), cancel: cancel}
	go o.run(ctx)
	return o
}

// Tell says that a transaction came to its end: failed is nil if it succeeded, and
// otherwise why it is dead. It does not wait. Where too many wait already the outcome is
// dropped and counted, and the transaction's status stays "pending" until its record ends.
func (o *Outcomes) Tell(tx ergon.Raw, failed *ergon.Error) {
	if len(o.cfg.Sources) > 0 && !slices.Contains(o.cfg.Sources, tx.Source()) {
		return
	}
	end := outcome{id: tx.ID(), state: StateSucceeded}
	if failed != nil {
		end.state, end.reason = StateDead, failed.Error()
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if !o.closed {
		select {
		case o.queue <- end:
			return
		default:
		}
	}
	o.dropped.Add(1)
}

// Dropped is how many outcomes were not recorded because too many waited.
func (o *Outcomes) Dropped() uint64 { return o.dropped.Load() }

func (o *Outcomes) run(ctx context.Context) {
	defer close(o.ended)
	for end := range o.queue {
		o.record(ctx, end)
	}
}

func (o *Outcomes) record(ctx context.Context, end outcome) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	if err := o.cfg.Records.Finish(ctx, end.id, end.state, end.reason); err != nil {
		o.cfg.OnError(fmt.Errorf("record that transaction %q is %s: %w", end.id, end.state, err))
	}
}

// Close records what waits, and gives the rest up when ctx ends. It is idempotent.
func (o *Outcomes) Close(ctx context.Context) error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.queue)
	}
	o.mu.Unlock()
	defer o.cancel()
	select {
	case <-o.ended:
		return nil
	case <-ctx.Done():
		o.cancel()
		return context.Cause(ctx)
	}
}
