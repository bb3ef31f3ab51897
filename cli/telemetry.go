package cli

import (
	"context"
	"log/slog"

	"github.com/ergon-framework/ergon/app"
)

// tell opens the telemetry of a run and has all of its lines say which transaction
// they are of, those of the tasks' own code too. done is called when nothing is told
// any more.
func (c *command) tell(opts *app.Options) (done func(), err error) {
	own := opts.Logger // whose lines are not sent: it tells of sending
	t, err := app.OpenTelemetry(c.stop.ctx, opts.Config, c.Env, own)
	if err != nil {
		return nil, usage("%w", err)
	}
	opts.Telemetry, opts.Logger = t, slog.New(t.Handler(own.Handler()))
	if c.SetDefault != nil {
		c.SetDefault(opts.Logger)
	}
	if c.SetTelemetry != nil {
		c.SetTelemetry(t.Telemetry)
	}
	return func() {
		// What could not be sent is no failure of the run: nothing was lost of it.
		ctx, cancel := context.WithCancel(context.WithoutCancel(c.stop.ctx))
		defer cancel()
		defer c.stop.afterForce(forceReserve, cancel)()
		if err := t.Shutdown(ctx); err != nil {
			own.Warn("telemetry was lost", "error", err)
		}
	}, nil
}
