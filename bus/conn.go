package bus

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	reconnectMin = 50 * time.Millisecond
	reconnectMax = 2 * time.Second
	// quietFor is how long the same asynchronous error is logged once: a denied
	// publish in a loop would write a line per message.
	quietFor = 10 * time.Second
)

// conn is one connection with what became of it.
type conn struct {
	nc       *nats.Conn
	role     string // "consume" or "publish"
	log      *slog.Logger
	lameDuck atomic.Bool
	closing  atomic.Bool   // we are closing it: no news
	ended    chan struct{} // closed by nats.go's last callback

	mu       sync.Mutex
	addr     string
	err      error
	errAt    time.Time
	muted    string // text of the asynchronous error that was logged last
	mutedAt  time.Time
	watchers map[watcher]struct{}
}

// A watcher is told what happens to a connection, on the goroutine that nats.go
// keeps for such calls: it must not block. Calls for one connection come one at
// a time, in order, but possibly after the connection has changed again.
type watcher interface {
	connLost()
	connBack()
	connClosed()
	connError(error)
}

func newConn(role string, log *slog.Logger) *conn {
	return &conn{
		role:     role,
		log:      log.With("connection", role),
		ended:    make(chan struct{}),
		watchers: make(map[watcher]struct{}),
	}
}

func (c *conn) watch(w watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers[w] = struct{}{}
}

func (c *conn) unwatch(w watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watchers, w)
}

func (c *conn) tell(f func(watcher)) {
	c.mu.Lock()
	all := make([]watcher, 0, len(c.watchers))
	for w := range c.watchers {
		all = append(all, w)
	}
	c.mu.Unlock()
	for _, w := range all {
		f(w)
	}
}

// handlers are the connection options by which nats.go reports events. nats.go
// runs them one after the other on one goroutine.
func (c *conn) handlers() []nats.Option {
	return []nats.Option{
		nats.ConnectHandler(func(nc *nats.Conn) {
			c.connected(nc)
			c.log.Info("connected to NATS", "server", c.server(), "server_name", nc.ConnectedServerName(),
				"version", nc.ConnectedServerVersion())
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if c.closing.Load() {
				return
			}
			c.failed(err)
			c.log.Warn("disconnected from NATS, reconnecting", "server", c.server(), "error", reason(err))
			c.tell(watcher.connLost)
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.connected(nc)
			c.log.Info("reconnected to NATS", "server", c.server(), "server_name", nc.ConnectedServerName(),
				"reconnects", nc.Stats().Reconnects)
			c.tell(watcher.connBack)
		}),
		nats.LameDuckModeHandler(func(*nats.Conn) {
			c.lameDuck.Store(true)
			c.log.Info("NATS server is shutting down and asks its clients to move", "server", c.server())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			c.failed(err)
			c.asyncError(sub, err)
			c.tell(func(w watcher) { w.connError(err) })
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if !c.closing.Load() {
				c.failed(nc.LastError())
				c.log.Error("connection to NATS is closed for good", "server", c.server(), "error", reason(nc.LastError()))
			}
			c.tell(watcher.connClosed)
			close(c.ended)
		}),
	}
}

func (c *conn) connected(nc *nats.Conn) {
	c.lameDuck.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addr = nc.ConnectedUrlRedacted()
}

func (c *conn) failed(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.errAt = err, time.Now()
}

// lastError returns when the connection last failed, and with what.
func (c *conn) lastError() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errAt, c.err
}

func (c *conn) server() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

func (c *conn) asyncError(sub *nats.Subscription, err error) {
	text := reason(err)
	c.mu.Lock()
	again := text == c.muted && time.Since(c.mutedAt) < quietFor
	if !again {
		c.muted, c.mutedAt = text, time.Now()
	}
	c.mu.Unlock()
	if again {
		return
	}
	attrs := []any{"error", text}
	if sub != nil {
		attrs = append(attrs, "subscription", sub.Subject)
	}
	c.log.Warn("NATS reported an error", attrs...)
}

func reason(err error) string {
	if err == nil {
		return "connection closed by the other side"
	}
	return err.Error()
}

// reconnectDelay is how long to wait before the n-th round over all servers:
// 50 ms doubling to 2 s, the upper half of it random, so that the clients of a
// restarted server don't all come in one moment.
func reconnectDelay(n int) time.Duration {
	d := reconnectMax
	if n < 7 {
		d = min(reconnectMin<<max(n-1, 0), reconnectMax)
	}
	return d/2 + rand.N(d/2+1)
}
