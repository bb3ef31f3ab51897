package sql

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/ergon-framework/ergon/internal/semconv"
)

// knownFor is how long a failure to get a connection is news: whoever is asked no more,
// because it is not ready, would never be ready again.
const knownFor = 30 * time.Second

// pool is an open database.
type pool struct {
	db       *stdsql.DB
	size     size
	waiting  atomic.Int64 // calls that wait for a connection
	timeouts atomic.Int64 // those that got none in their time
	failed   atomic.Pointer[failure]
	watched  metric.Registration
}

type failure struct {
	err error
	at  time.Time
}

func open(to target, s size) *pool {
	p := &pool{db: stdsql.OpenDB(to.connector()), size: s}
	p.db.SetMaxOpenConns(s.connections)
	p.db.SetMaxIdleConns(s.idle)
	p.db.SetConnMaxLifetime(s.lifetime)
	return p
}

// close returns when it is closed or ctx ends.
func (p *pool) close(ctx context.Context) error {
	var watched error
	if p.watched != nil {
		watched = p.watched.Unregister()
	}
	closed := make(chan error, 1)
	go func() { closed <- p.db.Close() }()
	select {
	case err := <-closed:
		return errors.Join(watched, err)
	case <-ctx.Done():
		return errors.Join(watched, fmt.Errorf("its connections were left behind: %w", context.Cause(ctx)))
	}
}

// begin has first called with a connection, and once more with another when the driver
// says that nothing was sent over the one it was given: one that the server closed while
// it was idle. release gives the connection back; it is never nil.
func (p *pool) begin(ctx context.Context, first func(*stdsql.Conn) error) (release func(), err error) {
	const most = 3 // as often as database/sql would
	for n := 1; ; n++ {
		c, err := p.take(ctx)
		if err != nil {
			return func() {}, err
		}
		if err = first(c); err == nil {
			return func() { _ = c.Close() }, nil // it says only that it was closed already
		}
		_ = c.Close()
		if !errors.Is(err, driver.ErrBadConn) || n == most {
			return func() {}, err
		}
	}
}

// take waits for a connection.
func (p *pool) take(ctx context.Context) (*stdsql.Conn, error) {
	p.waiting.Add(1)
	c, err := p.db.Conn(ctx)
	p.waiting.Add(-1)
	if err == nil {
		if p.failed.Load() != nil {
			p.failed.Store(nil)
		}
		return c, nil
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, err // its caller gave up, which says nothing
	case ctx.Err() != nil:
		p.timeouts.Add(1)
		if used := p.db.Stats().InUse; used >= p.size.connections {
			err = fmt.Errorf("%w: %d are in use", errNone, used)
		}
	}
	p.failed.Store(&failure{err, time.Now()})
	return nil, err
}

// health says what is known of connections.
func (p *pool) health() error {
	f := p.failed.Load()
	if f == nil || time.Since(f.at) > knownFor {
		return nil
	}
	return fmt.Errorf("%w (%v ago)", f.err, time.Since(f.at).Round(time.Second))
}

// observe has the pool's numbers read by whoever collects, until close.
func (p *pool) observe(m metric.Meter, name string) error {
	pool := attribute.String(semconv.AttrPool, name)
	of := metric.WithAttributeSet(attribute.NewSet(pool))
	state := func(s string) metric.ObserveOption {
		return metric.WithAttributeSet(attribute.NewSet(pool, attribute.String(semconv.AttrPoolState, s)))
	}
	used, idle := state("used"), state("idle")
	var failed error
	gauge := func(d semconv.Metric) metric.Int64ObservableUpDownCounter {
		g, err := m.Int64ObservableUpDownCounter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Description))
		failed = errors.Join(failed, err)
		return g
	}
	count, most, mostIdle := gauge(semconv.MetricPoolCount), gauge(semconv.MetricPoolMax), gauge(semconv.MetricPoolIdleMax)
	pending := gauge(semconv.MetricPoolPending)
	d := semconv.MetricPoolTimeouts
	timeouts, err := m.Int64ObservableCounter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Description))
	if failed = errors.Join(failed, err); failed != nil {
		return failed
	}
	p.watched, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := p.db.Stats()
		o.ObserveInt64(count, int64(s.InUse), used)
		o.ObserveInt64(count, int64(s.Idle), idle)
		o.ObserveInt64(most, int64(p.size.connections), of)
		o.ObserveInt64(mostIdle, int64(min(p.size.idle, p.size.connections)), of)
		o.ObserveInt64(pending, p.waiting.Load(), of)
		o.ObserveInt64(timeouts, p.timeouts.Load(), of)
		return nil
	}, count, most, mostIdle, pending, timeouts)
	return err
}
