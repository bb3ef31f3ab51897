package app

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/telemetry"
)

// Telemetry is what a run sends to receivers of traces, metrics and log lines, and
// shows at /metrics. Its maker gives it to a Runner (Options.Telemetry) and shuts it
// down after that: what the end of a run has to say goes through it too.
type Telemetry struct {
	*telemetry.Telemetry
	tasks    atomic.Pointer[[]*life]
	services atomic.Pointer[[]service]
}

// OpenTelemetry makes what the configuration and the OTEL_* variables ask for. env
// looks variables up, nil is os.LookupEnv. log gets its own complaints, at most a line
// a minute; it should not be one whose lines it sends. A receiver that is not there is
// no error.
func OpenTelemetry(ctx context.Context, c *config.Config, env func(string) (string, bool), log *slog.Logger) (*Telemetry, error) {
	t := &Telemetry{}
	cfg := c.Telemetry
	if cfg.Service == "" {
		cfg.Service = c.App
	}
	made, err := telemetry.New(ctx, telemetry.Options{
		Config: cfg, Env: env, Version: version(), Logger: log, Engines: t.metrics, Services: t.calls, Prometheus: !c.Admin.IsOff(),
	})
	t.Telemetry = made
	return t, err
}

// metrics are those of all tasks, once there are any.
func (t *Telemetry) metrics() []engine.Metrics {
	tasks := t.tasks.Load()
	if tasks == nil {
		return nil
	}
	all := make([]engine.Metrics, len(*tasks))
	for i, l := range *tasks {
		all[i] = l.Metrics()
	}
	return all
}

// calls are those of all services that have a seam.
func (t *Telemetry) calls() (all []services.Metrics) {
	made := t.services.Load()
	if made == nil {
		return nil
	}
	for _, s := range *made {
		if s.seam != nil {
			all = append(all, s.seam.Metrics())
		}
	}
	return all
}

// told is what a Runner tells, and to whom.
type told struct {
	telemetry *Telemetry
	own       bool // it is the Runner's to shut down
	events    *telemetry.Limiter
	observe   func(engine.Event)
}

// tellRun opens what nobody gave, and has the engines' events written as log lines,
// thinned out where they repeat.
func (r *Runner) tellRun(ctx context.Context) (err error) {
	if r.telemetry = r.opts.Telemetry; r.telemetry == nil {
		if r.telemetry, err = OpenTelemetry(ctx, r.opts.Config, nil, r.log); err != nil {
			return err
		}
		r.own = true
	}
	r.telemetry.services.Store(&r.services)
	r.events = telemetry.Limit(r.log.Handler(), telemetry.LimitOptions{})
	r.observe = engine.LogEvents(slog.New(r.events), r.opts.Config.Telemetry.EventLog()...)
	return nil
}

// tracer is the task's, nil for none.
func (r *Runner) tracer(t bound) engine.Tracer {
	tracer := r.telemetry.Tracer()
	if tracer == nil {
		return nil
	}
	view := telemetry.View{Link: t.config.Source.Trace == config.TraceLink, System: "nats"}
	if t.config.Source.Answers() {
		view.System = "http"
	}
	if s := t.config.Source.JetStream; s != nil {
		view.Destination, view.Group = s.Stream, s.Durable
	}
	return tracer.With(view)
}

// metricsHandler answers /metrics, nil for nobody.
func (r *Runner) metricsHandler() http.Handler { return r.telemetry.MetricsHandler() }

// closeTelemetry is called once nothing is told any more.
func (r *Runner) closeTelemetry(ctx context.Context) error {
	if r.events == nil { // it was never opened
		return nil
	}
	err := r.events.Flush()
	if r.own {
		// What could not be sent is no failure of the run: nothing was lost of it.
		ctx, cancel := r.closing(ctx, telemetryReserve)
		defer cancel()
		if err := r.telemetry.Shutdown(ctx); err != nil {
			r.log.Warn("telemetry was lost", "error", err)
		}
	}
	return err
}

// version is this program's, as far as its build says.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
