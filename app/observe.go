package app

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/engine"
)

// adminReserve is how long answers that are under way may take at the end.
const adminReserve = time.Second

// observed is what a Runner has so that others can ask how it is.
type observed struct {
	admin *admin.Server // nil for none
	trail *engine.Trail // of all engines

	ready atomic.Pointer[[]*life] // nil until everything was started
	bus   atomic.Pointer[Conn]
}

// observeRun begins to answer, before anything is opened: a start that hangs is told of
// too.
func (r *Runner) observeRun() error {
	c := r.opts.Config.Admin
	r.trail = engine.NewTrail(c.Trail)
	if c.IsOff() {
		return nil
	}
	listen, chosen := c.Address()
	server, err := admin.Start(admin.Config{
		Listen: listen, Token: c.Token, AllowInsecure: c.AllowInsecure, Pprof: c.Pprof,
		App: r.opts.Config.App, Metrics: r.metricsHandler(), Process: process{r}, Trail: r.trail, Logger: r.log,
	})
	switch {
	case err == nil:
		r.admin = server
		r.log.Info("admin server listens", "address", server.Addr())
	case chosen:
		return err
	default:
		// A second process on one machine is no mistake, and runs as well without.
		r.log.Warn("there is no admin server: its default address can't be had; choose one (admin.listen, --admin), or off", "error", err)
	}
	return nil
}

// startedAll says that every engine is made and begins to run.
func (r *Runner) startedAll() {
	r.ready.Store(&r.fleet.lives)
	r.telemetry.tasks.Store(&r.fleet.lives)
}

// tasksShown are all of them, none while starting.
func (r *Runner) tasksShown() []*life {
	if lives := r.ready.Load(); lives != nil {
		return *lives
	}
	return nil
}

// closeAdmin is called last: until then it tells how the stop goes.
func (r *Runner) closeAdmin(ctx context.Context) error {
	if r.admin == nil {
		return nil
	}
	ctx, cancel := r.closing(ctx, adminReserve)
	defer cancel()
	return r.admin.Close(ctx)
}

// AdminAddr is where the admin server listens, host:port, once Start has returned; ""
// where there is none.
func (r *Runner) AdminAddr() string {
	if r.admin == nil {
		return ""
	}
	return r.admin.Addr()
}

// process is a Runner as its admin server asks it.
type process struct{ r *Runner }

var _ admin.Process = process{}

// State is Stopping also once every task has ended by itself.
func (p process) State() admin.State {
	select {
	case <-p.r.fleet.done:
		return admin.Stopping
	case <-p.r.fleet.fetching.Done():
		return admin.Stopping
	default:
	}
	if p.r.ready.Load() == nil {
		return admin.Starting
	}
	return admin.Running
}

// Tasks are in the order in which they are run.
func (p process) Tasks() []admin.Task {
	lives := p.r.tasksShown()
	all := make([]admin.Task, len(lives))
	for i, l := range lives {
		all[i] = l
	}
	return all
}

// Services are in the order of their names.
func (p process) Services() []engine.Check { return checkServices(p.r.services) }

// Transport is the connection, as far as the client knows: nothing is asked of it.
func (p process) Transport() []engine.Check {
	conn := p.r.bus.Load()
	if conn == nil {
		return []engine.Check{{Part: "bus", Err: errNotOpen}}
	}
	check := engine.Check{Part: "bus"}
	switch s := conn.Status(); {
	case s.Closed:
		check.Err = errors.New("the connection to NATS is closed")
	case !s.Connected && s.LastError != nil:
		check.Err = errors.Join(errAway, s.LastError)
	case !s.Connected:
		check.Err = errAway
	}
	return append([]engine.Check{check}, p.r.web.Load().checks(p.r.tasks)...)
}

var (
	errNotOpen = errors.New("it is not connected yet")
	errAway    = errors.New("NATS can't be reached, and is tried again: see whether its servers run, and this machine reaches them")
)
