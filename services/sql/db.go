package sql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

// DB is a database. Its calls may be made from many goroutines at once, between Start and
// Stop.
type DB struct {
	name  string
	seam  *services.Seam
	to    target
	size  size
	meter metric.Meter

	life   sync.Mutex // of Start and Stop
	pool   atomic.Pointer[pool]
	around atomic.Pointer[Interceptor]
}

// Interceptor is what is called in place of each attempt, within the seam; do makes it.
type Interceptor func(ctx context.Context, operation string, do func(context.Context) error) error

// size is the pool's.
type size struct {
	connections, idle int
	lifetime          time.Duration
}

// New checks s, and waits for nothing. Of s.Config the URL is required; Connections, Idle
// and Lifetime have their defaults (16, 4, 30 minutes) where all three are zero. The
// error shows no password.
func New(s services.Setup[spec.SQL]) (*DB, error) {
	seam, err := s.Seam(services.Classify(classify))
	if err != nil {
		return nil, err
	}
	c := s.Config
	own := size{c.Connections, c.Idle, c.Lifetime.D()}
	if own == (size{}) {
		own = size{16, 4, 30 * time.Minute}
	}
	if own.connections < 1 || own.idle < 0 || own.lifetime < 0 {
		return nil, fmt.Errorf("service %q: connections is at least 1, and idle and lifetime are not negative", s.Name)
	}
	to, err := read(c, s.Name, waitOf(s.Policy.Retry.Timeout.D()))
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", s.Name, err)
	}
	if to.alone {
		own = size{1, 1, 0}
	}
	return &DB{name: s.Name, seam: seam, to: to, size: own, meter: s.Meter()}, nil
}

// waitOf is how long a driver waits where no context does it for it.
func waitOf(timeout time.Duration) time.Duration {
	if timeout <= 0 {
		return 5 * time.Second
	}
	return timeout
}

// Seam is what its calls go through.
func (db *DB) Seam() *services.Seam { return db.seam }

// String names it, and shows nothing of how it is reached.
func (db *DB) String() string { return fmt.Sprintf("sql.DB(%s)", db.name) }

// GoString is String.
func (db *DB) GoString() string { return db.String() }

// Intercept has f called around every attempt of every operation, from now on; nil ends
// that. It is for tests (package sqltest) and for what a program checks before it asks.
func (db *DB) Intercept(f Interceptor) {
	if f == nil {
		db.around.Store(nil)
		return
	}
	db.around.Store(&f)
}

// Start opens the database and asks it for a sign of life within ctx. After Stop it may be
// started again.
func (db *DB) Start(ctx context.Context) error {
	db.life.Lock()
	defer db.life.Unlock()
	if db.pool.Load() != nil {
		return fmt.Errorf("service %q was started already", db.name)
	}
	p := open(db.to, db.size)
	err := p.db.PingContext(ctx)
	if err == nil {
		err = p.observe(db.meter, db.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("service %q: open %s: %w", db.name, db.to.where, err), p.close(ctx))
	}
	db.pool.Store(p)
	return nil
}

// Stop closes it, and returns when that is done or ctx ends. What runs keeps its connection
// until it has ended. It may be called before Start, and twice.
func (db *DB) Stop(ctx context.Context) error {
	db.life.Lock()
	defer db.life.Unlock()
	p := db.pool.Swap(nil)
	if p == nil {
		return nil
	}
	if err := p.close(ctx); err != nil {
		return fmt.Errorf("service %q: close %s: %w", db.name, db.to.where, err)
	}
	return nil
}

// Health is nil unless the database was not started, the circuit breaker is open, or the
// latest call, if it was made within the last 30 seconds, could not get a connection. It
// asks nobody.
func (db *DB) Health() error {
	p := db.pool.Load()
	if p == nil {
		return fmt.Errorf("service %q: %w", db.name, ErrStopped)
	}
	if err := db.seam.Health(); err != nil {
		return err
	}
	if err := p.health(); err != nil {
		return fmt.Errorf("service %q: no connection to %s: %w", db.name, db.to.where, err)
	}
	return nil
}
