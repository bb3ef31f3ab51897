package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Server listens, and has routes to receivers and sources. Add all of them, then Start
// it, or give its Handler to a server of your own. After a request in chunks, and after
// one of HTTP/1.0, it closes the connection, for programs on the way may differ in where
// such a request ends. Drain, Health and Addr may be called at
// any time, concurrently; the others by whoever owns it.
type Server struct {
	cfg      ServerConfig
	log      *slog.Logger
	mux      *nethttp.ServeMux
	routes   []*handler
	names    map[string]bool
	draining atomic.Bool

	mu     sync.Mutex
	server *nethttp.Server
	addr   net.Addr
	ended  chan struct{} // closed when it serves no more
	failed error         // with which it ended by itself
}

// NewServer returns a server without routes. log gets what no request is answered with,
// such as TLS handshakes that fail; nil is nobody.
func NewServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg.withDefaults(), log: log, mux: nethttp.NewServeMux(), names: make(map[string]bool)}, nil
}

// Add adds a route to a target, before Start. It fails where the route is not valid, or
// in the way of another.
func (s *Server) Add(route Route, to Target) error {
	h, err := newHandler(route, to, &s.draining)
	if err != nil {
		return err
	}
	if s.names[h.route.Name] {
		return fmt.Errorf("http route %q: another one is named %q too, and their keys would be the same: give it a name", route.Path, h.route.Name)
	}
	if err := s.handle(h.route.Method, h.route.Path, h); err != nil {
		return err
	}
	if v, ok := to.(*Receiver); ok && v.records != nil {
		if err := s.handle(nethttp.MethodGet, h.route.Status, &statusHandler{h, v.records}); err != nil {
			return err
		}
	}
	s.names[h.route.Name] = true
	s.routes = append(s.routes, h)
	return nil
}

// handle turns the mux's panic into an error.
func (s *Server) handle(method, path string, h nethttp.Handler) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("http route %q: %v", path, v)
		}
	}()
	s.mux.Handle(method+" "+path, h)
	return nil
}

// Handler is the routes without a listener, for a server of the caller's own, which then
// sets its own limits for headers and times. Where it listens is not known, so every
// route says who may use it: [Auth.Anonymous], where everybody may.
func (s *Server) Handler() (nethttp.Handler, error) {
	if h := s.openRoute(); h != nil {
		return nil, fmt.Errorf("http route %q: it has no auth: set it, or auth.anonymous where everybody may use it", h.route.Path)
	}
	return unambiguous(s.mux), nil
}

// unambiguous closes the connection after a request that another program on the way may
// have taken to end elsewhere, so that nothing behind it becomes a request (RFC 9112 §6.1).
// One in chunks may have had a Content-Length as well, and one of HTTP/1.0 may have been
// in chunks: net/http has decided by then, and taken the other header away.
func unambiguous(next nethttp.Handler) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header()["Connection"] = []string{"close"}
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) openRoute() *handler {
	for _, h := range s.routes {
		if h.open() {
			return h
		}
	}
	return nil
}

// Start listens, and returns. It fails where the address is taken, a certificate can't be
// read, or a route without auth could be used from other machines.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil || s.draining.Load() {
		return errors.New("http server: it was started or closed before")
	}
	secured, err := s.tls()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("http server: listen on %q: %w", s.cfg.Address, err)
	}
	if h := s.openRoute(); h != nil && !loopback(l.Addr()) {
		_ = l.Close() // nothing was accepted
		return fmt.Errorf("http route %q: it has no auth, and %s can be reached from other machines: set auth, or auth.anonymous where everybody may use it, or listen on 127.0.0.1",
			h.route.Path, s.cfg.Address)
	}
	s.addr, s.ended = l.Addr(), make(chan struct{})
	s.server = &nethttp.Server{
		Handler: unambiguous(s.mux), TLSConfig: secured, MaxHeaderBytes: s.cfg.MaxHeader, IdleTimeout: s.cfg.IdleTimeout,
		ReadHeaderTimeout: s.cfg.ReadHeaderTimeout, ReadTimeout: s.cfg.ReadTimeout, WriteTimeout: s.writeTimeout(),
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go s.serve(s.server, l, s.ended)
	return nil
}

func (s *Server) serve(server *nethttp.Server, l net.Listener, ended chan struct{}) {
	defer close(ended)
	var err error
	if server.TLSConfig != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if !errors.Is(err, nethttp.ErrServerClosed) {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
}

func (s *Server) writeTimeout() time.Duration {
	if s.cfg.WriteTimeout > 0 {
		return s.cfg.WriteTimeout
	}
	var longest time.Duration
	for _, h := range s.routes {
		longest = max(longest, h.route.Wait)
	}
	return s.cfg.ReadTimeout + longest + 10*time.Second
}

// tls reads the files of TLS; nil is no TLS.
func (s *Server) tls() (*tls.Config, error) {
	asks := false
	for _, h := range s.routes {
		asks = asks || h.auth.certificate != nil
	}
	if asks && s.cfg.ClientCA == "" {
		return nil, errors.New("http server: a route wants client certificates, and client_ca does not say whose: set it")
	}
	if s.cfg.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.cfg.Cert, s.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("http server: read the certificate of %q and %q: %w", s.cfg.Cert, s.cfg.Key, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if s.cfg.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(s.cfg.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("http server: read client_ca: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("http server: client_ca %q has no certificate in it", s.cfg.ClientCA)
	}
	// Which routes want one is decided by them; one that is shown is a good one.
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
}

func loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Addr is where the server listens, nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Health says why no request is taken; nil is that they are.
func (s *Server) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining.Load():
		return errors.New("http server: it is stopping")
	case s.server == nil:
		return errors.New("http server: it is not started")
	case s.failed != nil:
		return fmt.Errorf("http server: it no longer accepts connections on %s: %w", s.addr, s.failed)
	}
	return nil
}

// Drain refuses new requests with 503, from now on, and makes Health fail, so that whoever
// balances the load goes elsewhere. What is under way goes on. Call it when the program
// begins to stop, before its engines do.
func (s *Server) Drain() { s.draining.Store(true) }

// Close accepts nothing any more, waits for what is under way, and ends; when ctx ends it
// breaks off what still runs. It is idempotent. Close sources before: their callers wait
// for them. Sinks are closed afterwards.
func (s *Server) Close(ctx context.Context) error {
	s.Drain()
	s.mu.Lock()
	server, ended := s.server, s.ended
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.Shutdown(ctx)
	if err != nil {
		_ = server.Close() // it is left behind: its connections are cut
		err = fmt.Errorf("http server: requests were still under way: %w", err)
	}
	<-ended
	return err
}
