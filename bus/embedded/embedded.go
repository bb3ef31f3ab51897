package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// DontListen as [Options.Listen] makes a server without a port.
const DontListen = "off"

// readyTimeout bounds the wait for the server where ctx has no deadline.
const readyTimeout = 30 * time.Second

// Options say how to run the server.
type Options struct {
	// StoreDir is where streams are kept. It is made if it is missing. Required;
	// see [DefaultStoreDir].
	StoreDir string
	// Listen is the address for clients, as host:port. Port 0 or -1 takes a free
	// one. Empty or [DontListen] opens no port: only this process can connect.
	// The server knows no users, so an address other than loopback's lets
	// everybody in, and is warned about.
	Listen string
	// MaxStore and MaxMemory bound what streams may take of the disk and of
	// memory, in bytes. 0 leaves it to the server: three quarters of what is
	// there when it starts.
	MaxStore, MaxMemory int64
	// MaxPayload is the largest message, in bytes, headers included. Default
	// 1 MiB.
	MaxPayload int32
	// SyncAlways flushes every message to the disk before it is confirmed. It
	// costs a tenfold of throughput, and without it a power failure may take
	// the last two minutes.
	SyncAlways bool
	// Name is the server's name. Default "ergon".
	Name string
	// Logger gets what the server has to say: its notices at debug level, its
	// warnings and errors as such. Default: nowhere.
	Logger *slog.Logger
}

// A Server is a running nats-server. All methods may be called concurrently.
type Server struct {
	srv  *server.Server
	lock *lock
	url  string
	log  *slog.Logger
	once sync.Once
	done chan struct{}
}

// Start locks the store, starts the server and returns when it accepts
// connections. ctx bounds the wait for a store that is locked by a server which
// is starting, and the wait for readiness, but not the reading of a large
// store. Its errors name what failed, where, and what to do; a store in use is
// a [*LockedError].
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.StoreDir == "" {
		return nil, errors.New("start embedded server: no store directory given")
	}
	dir, err := filepath.Abs(o.StoreDir)
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	opts, err := serverOptions(o, dir)
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	if err := makeStore(dir); err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	l, err := acquire(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	s := &Server{lock: l, log: o.Logger, done: make(chan struct{})}
	if err := s.run(ctx, opts, o.Listen); err != nil {
		l.release()
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	if err := l.publish(s.url); err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("start embedded server: %w", err)
	}
	return s, nil
}

// serverOptions keeps the server from everything that a library must not do:
// handling signals, printing, exiting.
func serverOptions(o Options, dir string) (*server.Options, error) {
	opts := &server.Options{
		ServerName:            o.Name,
		StoreDir:              dir,
		JetStream:             true,
		JetStreamMaxStore:     o.MaxStore,
		JetStreamMaxMemory:    o.MaxMemory,
		MaxPayload:            o.MaxPayload,
		SyncAlways:            o.SyncAlways,
		NoSigs:                true,
		NoLog:                 true,
		DisableShortFirstPing: true,
	}
	if opts.ServerName == "" {
		opts.ServerName = "ergon"
	}
	if o.Listen == "" || o.Listen == DontListen {
		opts.DontListen = true
		return opts, nil
	}
	host, portText, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q is not host:port, such as 127.0.0.1:4222", o.Listen)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < -1 || port > 65535 {
		return nil, fmt.Errorf("listen address %q: port %q is not a number from 0 to 65535", o.Listen, portText)
	}
	if port == 0 {
		port = server.RANDOM_PORT // 0 means 4222 to the server
	}
	opts.Host, opts.Port = host, port
	if host != "localhost" && !net.ParseIP(host).IsLoopback() {
		o.Logger.Warn("the embedded server lets everybody in who can reach it", "listen", o.Listen)
	}
	return opts, nil
}

func makeStore(dir string) error {
	err := os.MkdirAll(dir, 0o750)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("store %q: a part of this path is a file: choose another directory: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store %q: not allowed to write there: choose another directory: %w", dir, err)
	}
	return storeError(dir, err)
}

// storeError says what to do about a store that can't be written.
func storeError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("store %q: its disk is full: free some of it, or choose another directory: %w", dir, err)
	}
	return fmt.Errorf("store %q: %w", dir, err)
}

// run starts the server and waits for it.
func (s *Server) run(ctx context.Context, opts *server.Options, listen string) error {
	if !opts.DontListen && opts.Port > 0 {
		// The server only logs that a port is taken. Somebody may still take it
		// between this and its listening; then its log tells.
		probe, err := net.Listen("tcp", net.JoinHostPort(opts.Host, strconv.Itoa(opts.Port)))
		if err != nil {
			return listenError(listen, err)
		}
		_ = probe.Close()
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	adapter := &logger{log: s.log}
	srv.SetLoggerV2(adapter, false, false, false)
	srv.Start()
	s.srv = srv

	wait := readyTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	ready := adapter.fatal() == nil && srv.ReadyForConnections(wait)
	if fatal := adapter.fatal(); fatal != nil || !ready {
		srv.Shutdown()
		srv.WaitForShutdown()
		switch {
		case fatal != nil && strings.Contains(fatal.Error(), "listening on port"):
			return listenError(listen, fatal)
		case fatal != nil:
			return fmt.Errorf("store %q: %w", opts.StoreDir, fatal)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		return fmt.Errorf("store %q: the server was not ready within %s", opts.StoreDir, wait)
	}
	if !opts.DontListen {
		s.url = srv.ClientURL()
	}
	return nil
}

func listenError(listen string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: the port is in use: stop what uses it, or choose another as bus.listen (port 0 takes a free one): %w", listen, err)
	}
	return fmt.Errorf("listen on %s: %w", listen, err)
}

// URL is where clients of other processes can connect, or "" where the server
// has no port.
func (s *Server) URL() string { return s.url }

// InProcess is for connecting within this process, with or without a port.
func (s *Server) InProcess() nats.InProcessConnProvider { return s.srv }

// Shutdown stops the server, waits until it has stopped, and unlocks the
// store. Close the connections to it first. Further calls wait for the first.
func (s *Server) Shutdown() {
	s.once.Do(func() {
		s.lock.clear() // nobody should be sent here any more
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		s.lock.release()
		close(s.done)
	})
	<-s.done
}
