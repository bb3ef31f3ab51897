package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// flushTimeout bounds a flush whose context has no deadline.
const flushTimeout = 10 * time.Second

// A Bus is a pair of connections to NATS with JetStream behind them. Make one
// with [Connect]. All methods may be called concurrently.
type Bus struct {
	cfg       Config
	log       *slog.Logger
	consume   *conn
	publish   *conn
	js        jetstream.JetStream
	apiPrefix string // of JetStream's API, with its trailing dot

	confirmerMu sync.Mutex
	confirmer   *confirmer // nil until there is a Publisher

	closing sync.Once
	closed  chan struct{} // both connections have ended
}

// An Option changes what [Connect] makes.
type Option func(*options)

type options struct {
	log       *slog.Logger
	inProcess nats.InProcessConnProvider
	ping      time.Duration
}

// WithLogger says where connection events and refused pull requests are
// logged. The default is nowhere.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) {
		if l != nil {
			o.log = l
		}
	}
}

// WithInProcess connects to a server in this process, without a port;
// [Config.URL] is ignored then. An embedded server is such a provider.
func WithInProcess(p nats.InProcessConnProvider) Option {
	return func(o *options) { o.inProcess = p }
}

// WithPingInterval sets how often a connection on which nothing comes is asked for
// a sign of life. The third question finds it dead, and it is replaced: nobody else
// notices a connection that is cut without being closed. Default 10 s.
func WithPingInterval(d time.Duration) Option {
	return func(o *options) {
		if d > 0 {
			o.ping = d
		}
	}
}

// JetStream is for administration: streams, consumers, key-value buckets and
// the like. Its requests go over the consuming connection. Don't publish or
// consume with it where a [Publisher] or a [Puller] will do.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// ConsumeConn is the connection for consuming and administration. The Bus owns
// it: don't close it.
func (b *Bus) ConsumeConn() *nats.Conn { return b.consume.nc }

// PublishConn is the connection for publishing. The Bus owns it: don't close
// it. It has no buffer for the time without a server: publishing on it fails
// while it reconnects.
func (b *Bus) PublishConn() *nats.Conn { return b.publish.nc }

// A Status is what the connections are doing.
type Status struct {
	// Connected reports that both connections stand.
	Connected bool
	// Closed reports that the connections have ended for good.
	Closed bool
	// LameDuck reports that the server asked its clients to go elsewhere.
	LameDuck bool
	// Server is the address the consuming connection has, or had last, without
	// credentials; ServerName and Version are what that server says of itself.
	Server, ServerName, Version string
	// Reconnects counts those of both connections.
	Reconnects uint64
	// LastError is the last thing that went wrong on either connection, and
	// LastErrorAt when; nil if nothing has. It may be long over.
	LastError   error
	LastErrorAt time.Time
}

// Status asks neither connection anything: it is cheap.
func (b *Bus) Status() Status {
	c, p := b.consume, b.publish
	s := Status{
		Connected:  c.nc.IsConnected() && p.nc.IsConnected(),
		Closed:     c.nc.IsClosed() || p.nc.IsClosed(),
		LameDuck:   c.lameDuck.Load() || p.lameDuck.Load(),
		Server:     c.server(),
		ServerName: c.nc.ConnectedServerName(),
		Version:    c.nc.ConnectedServerVersion(),
		Reconnects: c.nc.Stats().Reconnects + p.nc.Stats().Reconnects,
	}
	s.LastErrorAt, s.LastError = c.lastError()
	if at, err := p.lastError(); at.After(s.LastErrorAt) {
		s.LastErrorAt, s.LastError = at, err
	}
	return s
}

// Flush returns when the server has received everything sent before, on both
// connections, or when ctx ends. Without a deadline in ctx it waits 10 s. A connection
// that is away, or breaks meanwhile, and has nothing to send is not waited for; one that
// was away until the end and has is an [*UnsentError]. What was on its way when a
// connection broke may have been lost with it.
func (b *Bus) Flush(ctx context.Context) error {
	return errors.Join(b.consume.flush(ctx), b.publish.flush(ctx))
}

// Close flushes both connections within ctx and closes them. It does so also
// when flushing fails, and returns that failure; one that is away is not waited for, and
// what it had to send is an [*UnsentError]. A second Close waits for the first and
// returns nil.
func (b *Bus) Close(ctx context.Context) error {
	var err error
	b.closing.Do(func() {
		if err = errors.Join(b.consume.unsent(), b.publish.unsent()); err == nil && !b.Status().Closed {
			err = b.Flush(ctx)
		}
		if err != nil {
			err = fmt.Errorf("close bus: %w", err)
		}
		b.shut()
		close(b.closed)
	})
	<-b.closed
	return err
}

// shut closes the connections and waits until nats.go has said so: the closed
// handler is the last callback of a connection, so nothing of ours is called
// after this; and what the Publishers share has ended.
func (b *Bus) shut() {
	for _, c := range []*conn{b.publish, b.consume} {
		if c == nil {
			continue
		}
		c.closing.Store(true)
		c.nc.Close()
		<-c.ended
	}
	b.endConfirmer()
}

// flush wants a deadline, because nats.go refuses to flush without one.
func (c *conn) flush(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, flushTimeout)
		defer cancel()
	}
	for !c.idle() {
		err := c.nc.FlushWithContext(ctx)
		if err == nil || c.idle() {
			return nil
		}
		if errors.Is(err, nats.ErrConnectionClosed) && !c.nc.IsClosed() {
			continue // nats.go says so also where a connection broke meanwhile, which it seeks again
		}
		if unsent := c.unsent(); unsent != nil {
			return unsent
		}
		return fmt.Errorf("flush %s connection: %w", c.role, err)
	}
	return nil
}

// idle reports that the connection is away, and that nothing was sent meanwhile but
// what a flush asks.
func (c *conn) idle() bool {
	n, err := c.nc.Buffered()
	return err == nil && n <= len("PING\r\n") && !c.nc.IsConnected()
}

// unsent is what a connection that is away still has to send; nil for nothing, and for one
// that stands.
func (c *conn) unsent() error {
	n, err := c.nc.Buffered()
	if err != nil || n <= len("PING\r\n") || c.nc.IsConnected() {
		return nil
	}
	return &UnsentError{Bytes: n}
}
