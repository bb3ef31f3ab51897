package http

import (
	"context"
	"fmt"
	"hash/maphash"
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
	// Concurrency is how many are recorded at once, of different transactions: those of one
	// are recorded in the order in which they were told. Default 64, which is enough for some
	// thousand a second where a record takes some milliseconds.
	Concurrency int
	// Queue is how many outcomes may wait to be recorded. Each of the Concurrency has an equal
	// share of it, of one at least, for the transactions that fall to it. Default 65536, which
	// takes 3 MiB, and their IDs as long as they wait.
	Queue int
	// Timeout is how long one attempt to record may take. What fails is tried again for 30 s,
	// or once if Timeout is longer. Default 5 s.
	Timeout time.Duration
	// OnError is told of each outcome that is given up after its attempts, and, once a minute
	// at most, that outcomes are dropped by Tell. It is called concurrently, by
	// Tell too, and must not block. Default: nobody.
	OnError func(error)
}

// How an outcome is tried again, and how often dropping is told.
const (
	outcomePatience   = 30 * time.Second
	outcomeBackoff    = 100 * time.Millisecond // doubled after each attempt
	outcomeBackoffCap = 2 * time.Second
	outcomeDropsEvery = time.Minute
)

// Outcomes bring records up to date with what engines did. They are wherever the
// transactions are processed, which need not be where they were received. Tell may be
// called concurrently.
type Outcomes struct {
	cfg     OutcomesConfig
	seed    maphash.Seed
	queues  []chan outcome // by the hash of the transaction's ID
	dropped atomic.Uint64
	started time.Time
	tellAt  atomic.Int64 // when dropping may be told again, in ns after started

	mu     sync.RWMutex
	closed bool
	ended  chan struct{}
	cancel context.CancelFunc
}

type outcome struct {
	id, reason string
	state      State
}

// NewOutcomes starts the goroutines that record. Close ends them.
func NewOutcomes(cfg OutcomesConfig) *Outcomes {
	orDefault(&cfg.Concurrency, 64)
	orDefault(&cfg.Queue, 65536)
	orDefault(&cfg.Timeout, 5*time.Second)
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &Outcomes{
		cfg: cfg, seed: maphash.MakeSeed(), queues: make([]chan outcome, max(cfg.Concurrency, 1)),
		started: time.Now(), ended: make(chan struct{}), cancel: cancel,
	}
	var workers sync.WaitGroup
	for i := range o.queues {
		queue := make(chan outcome, max((cfg.Queue+len(o.queues)-1)/len(o.queues), 1))
		o.queues[i] = queue
		workers.Go(func() { o.run(ctx, queue) })
	}
	go func() {
		workers.Wait()
		close(o.ended)
	}()
	return o
}

// Tell says that a transaction came to its end: failed is nil if it succeeded, and
// otherwise why it is dead. It does not wait. Where too many wait already the outcome is
// dropped, counted and told to OnError, and the transaction's status stays "pending" until
// its record ends.
func (o *Outcomes) Tell(tx ergon.Raw, failed *ergon.Error) {
	if len(o.cfg.Sources) > 0 && !slices.Contains(o.cfg.Sources, tx.Source()) {
		return
	}
	end := outcome{id: tx.ID(), state: StateSucceeded}
	if failed != nil {
		end.state, end.reason = StateDead, failed.Error()
	}
	why := o.put(end)
	if why == "" {
		return
	}
	dropped, now, at := o.dropped.Add(1), int64(time.Since(o.started)), o.tellAt.Load()
	if now >= at && o.tellAt.CompareAndSwap(at, now+int64(outcomeDropsEvery)) {
		o.cfg.OnError(fmt.Errorf("record that transaction %q is %s: dropped, because %s: %d were dropped so far, and their statuses stay pending",
			end.id, end.state, why, dropped))
	}
}

// put finds an outcome its place, or says why there is none. All of one transaction go
// through one queue: of two final states Records keep the one that comes first, so a second
// must not overtake the first.
func (o *Outcomes) put(end outcome) (why string) {
	queue := o.queues[maphash.String(o.seed, end.id)%uint64(len(o.queues))]
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return "it came after the end"
	}
	select {
	case queue <- end:
		return ""
	default:
		return "too many outcomes wait to be recorded"
	}
}

// Dropped is how many outcomes were not recorded because too many waited, or because they
// still waited when the context of Close ended, or came after it.
func (o *Outcomes) Dropped() uint64 { return o.dropped.Load() }

func (o *Outcomes) run(ctx context.Context, queue <-chan outcome) {
	for end := range queue {
		if ctx.Err() != nil {
			o.dropped.Add(1)
			continue
		}
		if err := o.record(ctx, end); err != nil {
			o.cfg.OnError(fmt.Errorf("record that transaction %q is %s: %w", end.id, end.state, err))
		}
	}
}

// record tries until it is done, or its time or ctx is over, and returns the last error.
func (o *Outcomes) record(ctx context.Context, end outcome) error {
	ctx, cancel := context.WithTimeout(ctx, max(outcomePatience, o.cfg.Timeout))
	defer cancel()
	for backoff := outcomeBackoff; ; backoff = min(2*backoff, outcomeBackoffCap) {
		err := o.attempt(ctx, end)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return err
		}
	}
}

func (o *Outcomes) attempt(ctx context.Context, end outcome) error {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	return o.cfg.Records.Finish(ctx, end.id, end.state, end.reason)
}

// Close records what waits, and gives the rest up when ctx ends: what is being recorded is
// told to OnError, and what waits is counted in Dropped. It is idempotent.
func (o *Outcomes) Close(ctx context.Context) error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		for _, queue := range o.queues {
			close(queue)
		}
	}
	o.mu.Unlock()
	defer o.cancel()
	select {
	case <-o.ended:
		return nil
	case <-ctx.Done():
		o.cancel()
		for _, queue := range o.queues {
			for range queue { // beside its worker, so that all are counted now
				o.dropped.Add(1)
			}
		}
		return context.Cause(ctx)
	}
}
