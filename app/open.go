package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// Conn is an open bus and, where this process runs one, its server.
type Conn struct {
	*bus.Bus
	// URL is where other processes reach the bus, "" for an embedded server
	// without a port.
	URL    string
	server *embedded.Server
	heir   *heir // where another process runs the server
}

// Close closes the connections and then the server. It is idempotent.
func (c *Conn) Close(ctx context.Context) error {
	server := c.server
	if c.heir != nil {
		server = c.heir.close()
	}
	err := c.Bus.Close(ctx)
	if server != nil {
		server.Shutdown()
	}
	return err
}

// Open connects as the configuration says. "embedded" starts a server on the
// store, or connects to the process that holds it: two servers on one store
// would both accept writes, silently. When that process ends, one of those that
// share the store takes it over, at the same address.
func Open(ctx context.Context, c config.Bus, log *slog.Logger) (*Conn, error) {
	if !c.IsEmbedded() {
		b, err := bus.Connect(ctx, c.Config, bus.WithLogger(log))
		if err != nil {
			return nil, err
		}
		return &Conn{Bus: b, URL: c.Config.Redacted().URL}, nil
	}
	server, err := StartServer(ctx, c, log)
	if locked, ok := errors.AsType[*embedded.LockedError](err); ok && locked.URL != "" {
		log.Info("the store is in use: connecting to the process that holds it", "store", locked.Dir, "pid", locked.PID, "url", locked.URL)
		shared := c
		shared.URL = locked.URL
		conn, err := Open(ctx, shared, log)
		if err != nil {
			return nil, fmt.Errorf("store %q is held by process %d: %w", locked.Dir, locked.PID, err)
		}
		conn.heir = newHeir(conn.Bus, c, locked.URL, log)
		return conn, nil
	}
	if err != nil {
		return nil, err
	}
	cfg := c.Config
	cfg.URL = ""
	b, err := bus.Connect(ctx, cfg, bus.WithLogger(log), bus.WithInProcess(server.InProcess()))
	if err != nil {
		server.Shutdown()
		return nil, fmt.Errorf("connect to the embedded server: %w", err)
	}
	return &Conn{Bus: b, URL: server.URL(), server: server}, nil
}

// StartServer starts the embedded server alone.
func StartServer(ctx context.Context, c config.Bus, log *slog.Logger) (*embedded.Server, error) {
	dir, err := StoreDir(c)
	if err != nil {
		return nil, err
	}
	return embedded.Start(ctx, embedded.Options{StoreDir: dir, Listen: c.Listen, Logger: log})
}

// StoreDir is where the embedded server keeps its streams.
func StoreDir(c config.Bus) (string, error) {
	if c.Store != "" {
		return c.Store, nil
	}
	return embedded.DefaultStoreDir()
}
