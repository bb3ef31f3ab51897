package app

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/fx"
)

// Bus is the process's bus, for services that need one. It is opened when it is first
// asked for: by a service's Start, or by the Runner, whose tasks share it. One that a
// service has used is closed after the services were stopped; else the Runner closes it
// with what is its own. All methods are safe for concurrent use.
//
// [Configured] gives it to a constructor that takes a *Bus, or an interface that a *Bus
// satisfies and that has a JetStream method.
type Bus struct {
	opts   Options
	log    *slog.Logger
	turn   chan struct{}        // held by who opens or closes it
	conn   atomic.Pointer[Conn] // nil until it is open
	closed bool
	lent   atomic.Bool // somebody beside the Runner uses it
}

// optionsIn are Options where there are any: a command that only looks has none.
type optionsIn struct {
	fx.In
	Options Options `optional:"true"`
}

// newBus provides the bus of an application, which closes it at its end.
func newBus(lc fx.Lifecycle, in optionsIn) *Bus {
	b := &Bus{opts: in.Options, log: orNowhere(in.Options.Logger), turn: make(chan struct{}, 1)}
	lc.Append(fx.StopHook(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stopReserve)
		defer cancel()
		return b.close(ctx)
	}))
	return b
}

func orNowhere(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// JetStream opens the bus if it is not open, and returns its JetStream. ctx bounds that
// alone. A service calls it in its Start, and stops using what it got in its Stop; a
// constructor must not, for a command that only looks opens nothing.
func (b *Bus) JetStream(ctx context.Context) (jetstream.JetStream, error) {
	conn, err := b.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return conn.JetStream(), nil
}

// Conn is JetStream for who needs all of the bus. Who gets it must not close it.
func (b *Bus) Conn(ctx context.Context) (*Conn, error) {
	b.lent.Store(true)
	return b.open(ctx)
}

// open opens it as the options say: Options.Conn is open already, and its owner's to
// close.
func (b *Bus) open(ctx context.Context) (*Conn, error) {
	if conn := b.conn.Load(); conn != nil {
		return conn, nil
	}
	switch {
	case b.opts.Conn != nil:
		return b.opts.Conn, nil
	case b.opts.Config == nil:
		return nil, errNoOptions
	}
	ctx, cancel := b.opts.interruptible(ctx)
	defer cancel()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch conn := b.conn.Load(); {
	case conn != nil:
		return conn, nil
	case b.closed: // by a start that failed, whose service went on behind
		return nil, errBusClosed
	}
	conn, err := Open(ctx, b.opts.Config.Bus, b.log)
	if err != nil {
		return nil, err
	}
	b.conn.Store(conn)
	return conn, nil
}

// close is idempotent. What it did not open it leaves open.
func (b *Bus) close(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	conn := b.conn.Load()
	if b.closed || conn == nil {
		b.closed = true
		return nil
	}
	b.closed = true
	return conn.Close(ctx)
}

// interruptible is a context of a start that Options.Interrupt ends too.
func (o Options) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	by := o.Interrupt
	if by == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unwatched := context.AfterFunc(by, func() { cancel(context.Cause(by)) })
	return ctx, func() {
		unwatched()
		cancel(nil)
	}
}
