package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// patience bounds every wait; none should come near it.
const patience = 2 * time.Minute

func eventually(t *testing.T, is func() bool, what ...any) {
	t.Helper()
	require.Eventually(t, is, patience, 5*time.Millisecond, what...)
}

// node is a server with a port that can go and come back.
type node struct {
	t *testing.T
	o embedded.Options
	s *embedded.Server
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, o: embedded.Options{StoreDir: t.TempDir(), Listen: freePort(t)}}
	n.start()
	t.Cleanup(func() { n.s.Shutdown() })
	return n
}

func (n *node) start() {
	n.t.Helper()
	var err error
	n.s, err = embedded.Start(n.t.Context(), n.o)
	require.NoError(n.t, err)
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func connect(t *testing.T, url string, opts ...bus.Option) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Config{URL: url}, opts...)
	require.NoError(t, err)
	return b
}

// watched makes the sources of a world look after their consumers all the time.
func (w *world) watched(more ...func(*jetstream.SourceConfig)) *world {
	w.change = func(c *jetstream.SourceConfig) {
		c.CheckEvery = 20 * time.Millisecond
		c.StallAfter(time.Millisecond)
		for _, f := range more {
			f(c)
		}
	}
	return w
}

// number publishes n messages whose IDs are prefix-0 and so on.
func (w *world) number(t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		w.publish(t, &nats.Msg{Data: []byte(`{"n":1}`), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprintf("%s-%d", prefix, i)}}})
	}
}

// reader fetches from a source as an engine does, on and on, and acknowledges.
type reader struct {
	t      *testing.T
	s      *jetstream.Source
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	seen map[string]int
	last error
}

func read(t *testing.T, s *jetstream.Source) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{t: t, s: s, cancel: cancel, done: make(chan struct{}), seen: map[string]int{}}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			all, err := s.Fetch(ctx, 8)
			r.mu.Lock()
			for _, d := range all {
				r.seen[d.Transaction().ID()]++
			}
			if err != nil && !errors.Is(err, ergon.ErrDrained) && ctx.Err() == nil {
				r.last = err
			}
			r.mu.Unlock()
			for _, d := range all {
				d.Settle(ergon.Settlement{Kind: ergon.Ack}, func(error) {})
			}
			if errors.Is(err, ergon.ErrClosed) {
				return
			}
		}
	}()
	t.Cleanup(r.stop)
	return r
}

// stop ends the reading and closes the source.
func (r *reader) stop() {
	r.cancel()
	<-r.done
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = r.s.Close(ctx)
}

func (r *reader) has(prefix string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for id := range r.seen {
		if strings.HasPrefix(id, prefix) {
			n++
		}
	}
	return n
}

func (r *reader) hasAll(prefix string, n int) {
	r.t.Helper()
	eventually(r.t, func() bool { return r.has(prefix) == n }, prefix)
}

func (r *reader) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// healthy waits until a source has nothing to complain of, at a look that began
// after this call.
func healthy(t *testing.T, s *jetstream.Source) {
	t.Helper()
	looked(t, s, 2)
	eventually(t, func() bool { return s.Health() == nil })
}

// looked waits for some more looks that found the consumer.
func looked(t *testing.T, s *jetstream.Source, n int) {
	t.Helper()
	for range n {
		before := s.Looks()
		eventually(t, func() bool { return s.Looks() > before })
	}
}

// ails waits until a source complains of an error with these words.
func ails(t *testing.T, s *jetstream.Source, target error, words ...string) {
	t.Helper()
	eventually(t, func() bool {
		err := s.Health()
		if err == nil || target != nil && !errors.Is(err, target) {
			return false
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				return false
			}
		}
		return !strings.Contains(err.Error(), "\n")
	}, "%v", target)
}

// logBook collects log lines.
type logBook struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logBook) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.lines.String(), text)
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// proxy stands between a bus and its server. A link that is frozen forwards
// nothing and stays open: a half-open connection, as a firewall leaves it.
type proxy struct {
	t    *testing.T
	l    net.Listener
	to   string
	busy sync.WaitGroup

	mu    sync.Mutex
	links []*link
}

type link struct {
	conns [2]net.Conn
	role  string // consume or publish, as the client named itself
	mu    sync.Mutex
	thaw  chan struct{} // nil while it forwards
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, l: l, to: to}
	p.busy.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "nats://" + p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{conns: [2]net.Conn{client, server}}
		p.mu.Lock()
		p.links = append(p.links, l)
		p.mu.Unlock()
		p.busy.Go(func() { l.forward(server, client) })
		p.busy.Go(func() { l.forward(client, server) })
	}
}

func (l *link) forward(to, from net.Conn) {
	defer l.close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		for _, role := range []string{"consume", "publish"} {
			if from == l.conns[0] && bytes.Contains(b[:n], []byte("("+role+")")) {
				l.name(role)
			}
		}
		l.wait()
		if err != nil {
			return
		}
		if _, err := io.Copy(to, bytes.NewReader(b[:n])); err != nil {
			return
		}
	}
}

func (l *link) name(role string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.role == "" {
		l.role = role
	}
}

// wait returns when the link forwards.
func (l *link) wait() {
	l.mu.Lock()
	thaw := l.thaw
	l.mu.Unlock()
	if thaw != nil {
		<-thaw
	}
}

func (l *link) close() {
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// freeze stops all links of a role, or of all for "". What connects later is
// forwarded.
func (p *proxy) freeze(role string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.mu.Lock()
		if l.thaw == nil && (role == "" || l.role == role) {
			l.thaw = make(chan struct{})
		}
		l.mu.Unlock()
	}
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.mu.Lock()
		if l.thaw != nil {
			close(l.thaw)
			l.thaw = nil
		}
		l.mu.Unlock()
	}
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	for _, l := range p.links {
		l.close()
	}
	p.mu.Unlock()
	p.thaw()
	p.busy.Wait()
}
