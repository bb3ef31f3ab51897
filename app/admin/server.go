package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ergon-framework/ergon/engine"
)

// State is how far a process is.
type State string

// The states, in their order.
const (
	Starting State = "starting"
	Running  State = "running" // everything was started
	Stopping State = "stopping"
)

// Process is what a server is asked about. All of it may be called at any time, from
// many goroutines at once, and returns quickly.
type Process interface {
	State() State
	// Tasks are all of them, in an order that stays; none while starting.
	Tasks() []Task
	// Transport says how what carries the transactions is: the connection to the bus.
	Transport() []engine.Check
	// Services says how the services are, each under its name; see app.Service.
	Services() []engine.Check
}

// Task is one task, as a server asks about it. An *engine.Engine is one, and so is what
// runs a task in one engine after the other. It can be compared with ==.
type Task interface {
	Name() string
	Generation() int
	Alive() error
	Checks() []engine.Check
	Metrics() engine.Metrics
	Snapshot() engine.Snapshot
}

var _ Task = (*engine.Engine)(nil)

// Config is what a server is made of. Process is required, the rest may be zero.
type Config struct {
	// Listen is the address, host:port; port 0 takes a free one, which Addr tells.
	// Default [DefaultListen].
	Listen string
	// Token is what who asks has to bring (Authorization: Bearer …). It is a secret.
	// Default: none, which only a loopback address may go without.
	Token string
	// AllowInsecure is the second word that an address beyond loopback without a token
	// needs: everybody who reaches it may ask everything then.
	AllowInsecure bool
	// Pprof serves profiles of the process at /debug/pprof/.
	Pprof bool
	// Metrics answers /metrics. Default: 404, with a word on how to change that.
	Metrics http.Handler
	// App is the application, which answers name. Default: they name none.
	App string
	// Process is asked.
	Process Process
	// Trail is where what became of transactions is looked up. Default: of none is known.
	Trail *engine.Trail
	// Logger is told of what a request does wrong, at DEBUG. Default: nowhere.
	Logger *slog.Logger
}

// DefaultListen is where a server listens if nothing else is said.
const DefaultListen = "127.0.0.1:9400"

// Bounds of one connection. There is no ReadTimeout: it would end the context of a
// request that is answered for longer, as a profile is. Nor one for writing.
const (
	readTime   = 10 * time.Second
	idleTime   = time.Minute
	maxHeaders = 16 << 10
)

// Server answers until it is closed.
type Server struct {
	c       Config
	log     *slog.Logger
	secret  *secret // nil without a token
	local   bool    // it listens on loopback alone
	since   time.Time
	rates   rates
	http    *http.Server
	addr    string
	cut     context.CancelFunc // ends what takes long
	running sync.WaitGroup
	closing sync.Once
	closed  chan struct{}
}

// Start checks the configuration, listens, and returns. The error says what failed and
// what to do; nothing is left open then.
func Start(c Config) (*Server, error) {
	c.Listen = cmp.Or(c.Listen, DefaultListen)
	if c.Process == nil {
		return nil, errors.New("admin: there is no process to ask")
	}
	if err := admissible(c.Listen, c.Token != "", c.AllowInsecure); err != nil {
		return nil, fmt.Errorf("admin: listen on %q: %w", c.Listen, err)
	}
	base, cut := context.WithCancel(context.Background()) // ended by Close
	ln, err := (&net.ListenConfig{}).Listen(base, "tcp", c.Listen)
	if err != nil {
		cut()
		return nil, fmt.Errorf("admin: %w: choose another address (admin.listen), or off for none", err)
	}
	s := &Server{
		c: c, log: c.Logger, local: isLoopback(c.Listen), since: time.Now(), addr: ln.Addr().String(),
		cut: cut, closed: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if c.Token != "" {
		s.secret = newSecret(c.Token)
	}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: readTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.rates.sample(s.since, c.Process.Tasks())
	s.running.Go(func() { s.rates.run(base, c.Process) })
	s.running.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the admin server ended, and this process can't be asked any more", "error", err)
		}
	})
	return s, nil
}

// Addr is the address that it listens on, host:port.
func (s *Server) Addr() string { return s.addr }

// Close stops listening and waits for the answers that are under way. When ctx ends it
// cuts them off, which is no error: who asks how a process is learns that it ended. It
// is idempotent, and safe for concurrent use.
func (s *Server) Close(ctx context.Context) error {
	var err error
	s.closing.Do(func() {
		s.cut()
		if err = s.http.Shutdown(ctx); err != nil && ctx.Err() != nil {
			err = s.http.Close()
		}
		s.running.Wait()
		close(s.closed)
	})
	<-s.closed
	if err != nil {
		return fmt.Errorf("admin: close: %w", err)
	}
	return nil
}
