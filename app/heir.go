package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// heirEvery is how often a process that shares a store looks whether its holder
// is still there.
const heirEvery = 200 * time.Millisecond

// heir takes over the server of a shared store when the process that ran it has
// ended. Without one, whoever shared it would wait for a server that never comes
// back. The new server takes the old one's address, so the connections of all
// that share the store find it by themselves.
type heir struct {
	bus    *bus.Bus
	config config.Bus
	log    *slog.Logger
	stop   context.CancelFunc
	done   sync.WaitGroup
	server *embedded.Server // once taken over; read after done
}

func newHeir(b *bus.Bus, c config.Bus, url string, log *slog.Logger) *heir {
	ctx, stop := context.WithCancel(context.Background()) // ended by close
	c.Listen = strings.TrimPrefix(url, "nats://")
	h := &heir{bus: b, config: c, log: log, stop: stop}
	h.done.Go(func() { h.watch(ctx) })
	return h
}

func (h *heir) watch(ctx context.Context) {
	tick := time.NewTicker(heirEvery)
	defer tick.Stop()
	said := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if h.bus.Status().Connected {
			continue
		}
		// The lock decides between several heirs. It is free only once the holder
		// has ended, so a server that merely does not answer is left alone.
		server, err := StartServer(ctx, h.config, h.log)
		if err == nil {
			h.log.Info("the process that held the store has ended: this one serves it now", "url", server.URL())
			h.server = server
			return
		}
		locked, ok := errors.AsType[*embedded.LockedError](err)
		if ok && strings.TrimPrefix(locked.URL, "nats://") == h.config.Listen {
			continue // another heir was first, at the address that we know
		}
		if !said && ctx.Err() == nil {
			said = true
			h.log.Error("the process that held the store has ended, and its place can't be taken: start this process again", "error", err)
		}
	}
}

// close ends the watch and returns the server that was taken over, if it was.
func (h *heir) close() *embedded.Server {
	h.stop()
	h.done.Wait()
	return h.server
}
