package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// failureCounts is how long the failure of a call makes the service unhealthy: who is not
// ready may get no calls, and only a call would tell that it is over.
const failureCounts = 30 * time.Second

// bucket is the Backend in JetStream.
type bucket struct {
	service string
	cfg     spec.KV
	bus     Bus
	log     *slog.Logger

	opened atomic.Pointer[opened]
	failed atomic.Pointer[failure] // the latest call's, nil where it did well
	cache  atomic.Pointer[cache]   // nil while it is not to be used
	away   atomic.Pointer[error]   // why it is not

	mu    sync.Mutex
	stop  context.CancelFunc // nil where no watch runs
	ended chan struct{}
}

type failure struct {
	err error
	at  time.Time
}

func newBucket(s services.Setup[spec.KV], bus Bus) *bucket {
	return &bucket{service: s.Name, cfg: s.Config, bus: bus, log: s.Log()}
}

func (b *bucket) String() string { return fmt.Sprintf("bucket %q", b.cfg.Bucket) }

// Start opens the bucket and begins to follow it.
func (b *bucket) Start(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop != nil {
		return fmt.Errorf("start %s: it was started already", b)
	}
	o, err := open(ctx, b.bus, b.cfg.Bucket)
	if missing(err) && b.cfg.Create {
		if err = create(ctx, b.bus, b.cfg); err == nil {
			o, err = open(ctx, b.bus, b.cfg.Bucket)
		}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", b, b.explain(err))
	}
	if diff := o.differs(b.cfg); len(diff) > 0 {
		b.log.Warn("the bucket is not as configured, and is used as it is: change it, or the configuration",
			"bucket", b.cfg.Bucket, "differences", strings.Join(diff, "; "))
	}
	b.opened.Store(o)
	if !b.cfg.Cache {
		return nil
	}
	w, err := b.fillCache(ctx)
	if err != nil && !errors.Is(err, ErrOver) {
		b.opened.Store(nil)
		return fmt.Errorf("fill the cache of %s: %w", b, b.explain(err))
	}
	following, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b.stop, b.ended = cancel, make(chan struct{})
	go b.follow(following, w, err, b.ended)
	return nil
}

// Stop ends the watch.
func (b *bucket) Stop(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		return nil
	}
	b.stop()
	select {
	case <-b.ended:
		b.stop = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the watch of %s: it has not ended yet: %w", b, context.Cause(ctx))
	}
}

// Health says what is known.
func (b *bucket) Health() error {
	if b.opened.Load() == nil {
		return fmt.Errorf("%s: %w", b, ErrNotStarted)
	}
	var faults []error
	if c := b.cache.Load(); b.cfg.Cache && (c == nil || !c.fresh()) {
		why := errSilent
		if away := b.away.Load(); away != nil {
			why = *away
		}
		faults = append(faults, fmt.Errorf("%s: the cache is not in use, and gets ask the bucket: %w", b, why))
	}
	if f := b.failed.Load(); f != nil && time.Since(f.at) < failureCounts {
		faults = append(faults, fmt.Errorf("%s did not answer its latest call, %v ago: %w", b, time.Since(f.at).Round(time.Millisecond), f.err))
	}
	return errors.Join(faults...)
}

// Get looks into the cache, and asks the bucket where that can't say.
func (b *bucket) Get(ctx context.Context, key string) (*Record, error) {
	if c := b.cache.Load(); c != nil && c.fresh() {
		if r, known := c.get(key); known {
			if r == nil {
				return nil, ErrNotFound
			}
			return r, nil
		}
	}
	o := b.opened.Load()
	if o == nil {
		return nil, ErrNotStarted
	}
	r, err := o.latest(ctx, key)
	if err != nil {
		return nil, b.note(ctx, err)
	}
	b.note(ctx, nil)
	if r == nil || r.deleted {
		return nil, ErrNotFound
	}
	return r, nil
}

// latest returns the latest record of a key, marks of deletion included; nil where there
// is none.
func (o *opened) latest(ctx context.Context, key string) (*Record, error) {
	m, err := o.stream.GetLastMsgForSubject(ctx, o.reads+key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return o.record(key, m.Data, m.Header, m.Sequence, m.Time), nil
}

// note remembers how the bucket answered, and explains a failure. That a caller went away
// says nothing about the bucket.
func (b *bucket) note(ctx context.Context, err error) error {
	if err == nil {
		if b.failed.Load() != nil {
			b.failed.Store(nil)
		}
		return nil
	}
	err = b.explain(err)
	if !errors.Is(ctx.Err(), context.Canceled) {
		b.failed.Store(&failure{err, time.Now()})
	}
	return err
}

// missing reports whether a failure says that there is no such bucket.
func missing(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }

// explain says what to do about what the client library reports.
func (b *bucket) explain(err error) error {
	switch {
	case missing(err):
		return fmt.Errorf("there is none: make it, as by `nats kv add %s --marker-ttl=1s`, or start with create: true: %w", b.cfg.Bucket, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("nobody answers for it: it is gone, has no leader, or JetStream is off: %w", err)
	}
	return err
}
