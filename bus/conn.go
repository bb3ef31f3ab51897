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
	// quietDown is the same for what keeps us from reconnecting: an outage may last
	// for days.
	quietDown = time.Minute
)

// conn is one connection with what became of it.
type conn struct {
	nc       *nats.Conn
	role     string // "consume" or "publish"
	local    bool   // to a server in this process
	log      *slog.Logger
	explain  func(error) error         // adds what to do, and takes secrets out
	live     atomic.Pointer[nats.Conn] // nc, for callbacks that may come before nc is set
	lameDuck atomic.Bool
	closing  atomic.Bool   // we are closing it: no news
	ended    chan struct{} // closed by nats.go's last callback

	mu       sync.Mutex
	addr     string
	err      error
	errAt    time.Time
	async    muffler // for asynchronous errors
	down     muffler // for what keeps us from reconnecting
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
		explain:  func(err error) error { return err },
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
			c.down.reset()
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
		// Both tell what keeps us from reconnecting. The first is called where nobody
		// answers; where somebody does, and TLS fails, nothing is called, and the
		// error is there to be read before the next round.
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.stillDown(err) }),
		nats.CustomReconnectDelay(func(n int) time.Duration {
			if nc := c.live.Load(); nc != nil {
				c.stillDown(nc.LastError())
			}
			return reconnectDelay(n)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			c.failed(err)
			c.asyncError(sub, err)
			c.tell(func(w watcher) { w.connError(err) })
		}),
		nats.ClosedHandler(func(nc *nats.Conn) {
			if !c.closing.Load() {
				c.failed(nc.LastError())
				_, err := c.lastError()
				c.log.Error("connection to NATS is closed for good", "server", c.server(), "error", reason(err))
			}
			c.tell(watcher.connClosed)
			close(c.ended)
		}),
	}
}

func (c *conn) connected(nc *nats.Conn) {
	c.live.Store(nc)
	c.lameDuck.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.local { // nats.go names an address at which nobody need listen
		c.addr = "in this process"
		return
	}
	c.addr = withoutUser(nc.ConnectedUrl())
}

func (c *conn) failed(err error) {
	if err == nil {
		return
	}
	err = c.explain(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.errAt = err, time.Now()
}

// stillDown records and reports why we are not reconnected. A refusal of the
// server's comes as an asynchronous error, too, and is reported there.
func (c *conn) stillDown(err error) {
	if err == nil || c.closing.Load() || refused(err) {
		return
	}
	c.failed(err)
	err = c.explain(err)
	if c.down.again(errorKind(err), quietDown) {
		return
	}
	c.log.Warn("NATS is not reached again yet, trying on", "server", c.server(), "error", err.Error())
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
	text := reason(c.explain(err))
	if c.async.again(text, quietFor) {
		return
	}
	attrs := []any{"error", text}
	if sub != nil {
		attrs = append(attrs, "subscription", sub.Subject)
	}
	c.log.Warn("NATS reported an error", attrs...)
}

// A muffler remembers what was said last.
type muffler struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

// again reports whether the same was said less than quiet ago, and remembers it
// if not.
func (m *muffler) again(text string, quiet time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text == m.text && time.Since(m.at) < quiet {
		return true
	}
	m.text, m.at = text, time.Now()
	return false
}

func (m *muffler) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = ""
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
