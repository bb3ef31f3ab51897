package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/engine"
)

func (c *command) runCommand() *cobra.Command {
	var opts app.Options
	var admin string
	var pprof bool
	cmd := &cobra.Command{
		Use:   "run [TASK…]",
		Short: "Run the configured tasks",
		Long: "Run the tasks of ergon.yaml, or those named, until a signal. The first SIGINT or\n" +
			"SIGTERM drains: what runs is finished, the rest is given back. A second one forces the end.\n\n" +
			"How it is can be asked over HTTP meanwhile: see ergon health and ergon why.",
		Example: "  ergon run\n" +
			"  ergon run -f examples/02-retail/ergon.yaml score\n" +
			"  ergon run --until-empty --json",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeTasks,
		RunE: func(_ *cobra.Command, args []string) error {
			opts.Only = args
			return c.run(opts, admin, pprof)
		},
	}
	cmd.Flags().BoolVar(&opts.UntilEmpty, "until-empty", false, "end when nothing is pending, and nothing in flight anywhere")
	cmd.Flags().Int64Var(&opts.Limit, "limit", 0, "end after `N` transactions per task")
	cmd.Flags().StringVar(&admin, "admin", "", "`HOST:PORT` to be asked at, or off; port 0 takes a free one (default: admin.listen, "+config.DefaultAdminListen+")")
	cmd.Flags().BoolVar(&pprof, "pprof", false, "serve profiles of the process there, at /debug/pprof/")
	return cmd
}

func (c *command) run(opts app.Options, admin string, pprof bool) error {
	if opts.Limit < 0 {
		return usage("--limit %d: it is 0 (no limit) or more", opts.Limit)
	}
	log, err := c.logger(slog.LevelInfo)
	if err != nil {
		return err
	}
	c.flag("--admin", "admin.listen", admin)
	if pprof {
		c.flag("--pprof", "admin.pprof", "true")
	}
	cfg, _, err := c.load(true)
	if err != nil {
		return err
	}
	if pprof && cfg.Admin.IsOff() {
		return usage("--pprof: the admin server, which serves profiles, is off: give it an address with --admin")
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	opts.Config, opts.Logger = cfg, log
	began := time.Now()
	runner, err := c.drive(opts, c.stop.ctx, func(r *app.Runner) func() {
		return c.progress(func() string { return runLine(r.Snapshots()) })
	})
	if runner == nil {
		return err
	}
	// Also when the stop failed: what was done is done, and the error says the rest.
	drains := runner.Drains()
	c.sayDrains(drains)
	if printErr := c.printReports(runner.Reports(), drains, time.Since(began)); printErr != nil {
		return errors.Join(err, printErr)
	}
	if _, unsent := errors.AsType[*bus.UnsentError](err); unsent && runner.Err() == nil {
		return &exitError{app.ExitAbandoned, err}
	}
	if err != nil {
		return errors.Join(runner.Err(), err)
	}
	return &exitError{runner.ExitCode(), runner.Err()}
}

// drive runs an application from its start until it is done, until ends or the
// end is forced. running is called once it runs, and returns what to call when
// it has stopped.
func (c *command) drive(opts app.Options, until context.Context, running func(*app.Runner) func()) (*app.Runner, error) {
	done, err := c.tell(&opts)
	if err != nil {
		return nil, err
	}
	defer done()
	// fx leaves a start alone whose context ends, and does not take back what it started
	// meanwhile. So a signal reaches the runner and not fx.
	opts.Interrupt = c.stop.ctx
	var runner *app.Runner
	fxApp := fx.New(
		c.modules, app.Module, fx.Supply(opts), fx.Populate(&runner),
		fx.RecoverFromPanics(),
		fx.WithLogger(func() fxevent.Logger {
			l := &fxevent.SlogLogger{Logger: opts.Logger}
			l.UseLogLevel(slog.LevelDebug)
			l.UseErrorLevel(slog.LevelDebug) // the error itself is returned, and printed once
			return l
		}),
	)
	if err := fxApp.Err(); err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), startTime)
	unforced, began := c.stop.afterForce(0, cancel), time.Now()
	err = fxApp.Start(starting)
	unforced()
	cancel()
	if err != nil { // fx has stopped what it had started
		return nil, c.notStarted(err, opts.Config.Bus, time.Since(began))
	}
	ended := running(runner)
	select {
	case <-until.Done():
	case <-c.stop.force:
	case <-runner.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), runner.StopTime())
	defer cancel()
	// A forced end has a bound of its own: what is left by then, a service that hangs
	// above all, ends with the process.
	defer c.stop.afterForce(0, runner.Abort)()
	defer c.stop.afterForce(app.ForceTime-forceReserve, cancel)()
	err = fxApp.Stop(stopping)
	ended()
	if c.stop.forcedBy() != 0 {
		err = nil // that something was left behind is what was asked for
	}
	return runner, err
}

// notStarted says why a start failed.
func (c *command) notStarted(err error, at config.Bus, after time.Duration) error {
	service, isService := errors.AsType[*app.ServiceError](err)
	switch {
	case c.stop.forcedBy() != 0:
		return err
	case c.stop.ctx.Err() != nil && errors.Is(err, context.Canceled):
		if isService && service.LeftBehind {
			return &exitError{exitDone, fmt.Errorf("stopped before it had started: %w", err)}
		}
		return &exitError{exitDone, errors.New("stopped before it had started")}
	case c.stop.ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && !isService:
		return fmt.Errorf("not started within %s: see whether NATS at %s answers, JetStream above all: %w",
			after.Round(100*time.Millisecond), at.Redacted().URL, err)
	}
	return err
}

// startTime is how long a start may take, with taking it back when it fails.
const startTime = 20 * time.Second

// forceReserve is what saying how a forced end went may take.
const forceReserve = 100 * time.Millisecond

// closeWithin is how long closing the bus may take.
const closeWithin = 5 * time.Second

// withBus opens a bus, has it used, and closes it.
func (c *command) withBus(cfg config.Bus, log *slog.Logger, use func(*app.Conn) error) error {
	conn, err := app.Open(c.stop.ctx, cfg, log)
	if err != nil {
		return err
	}
	err = use(conn)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), closeWithin)
	defer cancel()
	return errors.Join(err, conn.Close(ctx))
}

// runLine is the live line of a run.
func runLine(all []engine.Snapshot) string {
	var ok, dead, held int64
	var p50, p99 time.Duration
	var lag ergon.Lag
	for _, s := range all {
		if !s.Lag.At.IsZero() {
			lag.At = s.Lag.At
			lag.Pending, lag.Parked = lag.Pending+s.Lag.Pending, lag.Parked+s.Lag.Parked
		}
		ok, dead, held = ok+s.Succeeded, dead+s.Dead, held+int64(s.Held)
		p50, p99 = max(p50, s.P50), max(p99, s.P99)
	}
	line := fmt.Sprintf("%s succeeded   %s dead   %s in flight   p50 %s   p99 %s",
		thousands(ok), thousands(dead), thousands(held), short(p50), short(p99))
	if !lag.At.IsZero() {
		line += fmt.Sprintf("   %s pending   %s parked", thousands(lag.Pending), thousands(lag.Parked))
	}
	return line
}

// sayDrains tells a person how the stop went; --json has it in the result.
func (c *command) sayDrains(drains []app.Drained) {
	if c.json {
		return
	}
	for _, d := range drains {
		line := fmt.Sprintf("drained %s: %s finished, %s released, %s abandoned, in %s",
			d.Task, thousands(d.Finished), thousands(d.Released), thousands(d.Abandoned), short(d.Took))
		if d.Lost > 0 {
			line += fmt.Sprintf(", %s lost leases", thousands(d.Lost))
		}
		if d.Abandoned > 0 {
			line += "; what was abandoned comes again when its leases end"
		}
		if !d.Ended {
			line += "; the task does not end, and was left behind"
		}
		fmt.Fprintln(c.Stderr, line)
	}
}

func (c *command) printReports(reports []engine.Report, drains []app.Drained, took time.Duration) error {
	if c.json {
		return c.printJSON(struct {
			Tasks   []engine.Report `json:"tasks"`
			Drained []app.Drained   `json:"drained"` // those that ran when the stop began
			Seconds float64         `json:"seconds"`
		}{reports, drains, took.Seconds()})
	}
	for _, r := range reports {
		if err := c.printf("%s: %s succeeded, %s dead, %s retries, %s deferred, %s released, %s lost leases, %s abandoned, in %s\n",
			r.Task, thousands(r.Succeeded), thousands(r.Dead), thousands(r.Retries), thousands(r.Deferred), thousands(r.Released),
			thousands(r.Lost), thousands(r.Abandoned), short(r.Duration)); err != nil {
			return err
		}
	}
	return nil
}

// printf writes the command's result. A result that nobody gets is a failure.
func (c *command) printf(format string, a ...any) error {
	if _, err := fmt.Fprintf(c.Stdout, format, a...); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func (c *command) printJSON(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return c.printf("%s\n", data)
}
