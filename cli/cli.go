// Package cli is Ergon's command line. Every program built on it has all of its
// commands:
//
//	func main() { cli.Main(retail.Module) }
//
// The modules provide tasks and services; what runs, and where its transactions
// come from and go to, stands in ergon.yaml.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/telemetry"
)

// Exit codes, beside those of app.Runner.
const (
	exitDone   = app.ExitDone
	exitFailed = app.ExitFailed
	exitUsage  = 2 // bad usage or configuration
)

// Main runs the command line and ends the process with its exit code: 0 done,
// also after SIGINT or SIGTERM with a clean drain; 1 failed; 2 bad usage or
// configuration; 3 something was not settled; 130 or 143 when a second signal
// forced the end. It alone sets process-wide defaults.
func Main(modules ...fx.Option) {
	telemetry.SilenceSDK()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	p := &Process{
		Name: strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe"),
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env: os.LookupEnv, EnvNames: environmentNames, Signals: signals, SetDefault: slog.SetDefault, SetTelemetry: telemetry.SetGlobal,
	}
	os.Exit(p.Run(context.Background(), modules...))
}

// environmentNames lists the variables of the process.
func environmentNames() []string {
	pairs := os.Environ()
	for i, p := range pairs {
		pairs[i], _, _ = strings.Cut(p, "=")
	}
	return pairs
}

// Process is the world that a command line runs in; a test gives it another.
type Process struct {
	// Name is what the program is called, for completion. Default ergon.
	Name           string
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(name string) (string, bool)
	// EnvNames lists the names that Env knows, so that one that begins with ERGON_ and
	// that nothing knows is a fault. Nil: that is not looked for.
	EnvNames func() []string
	// Signals ask for the end: the first drains, the second forces. May be nil.
	Signals <-chan os.Signal
	// SetDefault is given the logger, to make it the process's. May be nil.
	SetDefault func(*slog.Logger)
	// SetTelemetry is given the telemetry of a run, likewise. May be nil.
	SetTelemetry func(*telemetry.Telemetry)
}

// Run runs one command and returns its exit code. ctx ending is as the first
// signal.
func (p *Process) Run(ctx context.Context, modules ...fx.Option) int {
	world := *p
	if terminal(p.Stderr) && !p.dumb() {
		world.Stderr = &console{w: p.Stderr}
	}
	c := &command{Process: &world, modules: fx.Options(modules...), stop: newStopper(ctx, p.Signals)}
	defer c.stop.close()
	root := c.root()
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(world.Stderr)
	err := root.ExecuteContext(c.stop.ctx)
	if forced := c.stop.forcedBy(); forced != 0 {
		return 128 + int(forced)
	}
	return c.exit(err)
}

// dumb reports that the terminal knows no live line.
func (p *Process) dumb() bool {
	if p.Env == nil {
		return false
	}
	term, _ := p.Env("TERM")
	return term == "dumb"
}

// command is what all commands share.
type command struct {
	*Process
	modules fx.Option
	stop    *stopper

	file      string // -f
	logLevel  string
	logFormat string
	json      bool
	sets      []string      // --set
	flags     []config.Flag // of the command itself
	asks      bool          // it asks a running process, whose file need not be here
}

// exitError ends the process with a code of its own. A nil err says nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *exitError) Unwrap() error { return e.err }

// usage marks an error as the caller's: exit code 2.
func usage(format string, a ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, a...)}
}

// exit prints an error and says what the process ends with.
func (c *command) exit(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	exit, isExit := errors.AsType[*exitError](err)
	if isExit {
		code = exit.code
	}
	err = app.Explain(err)
	if _, ok := errors.AsType[*app.WiringError](err); ok {
		code = exitUsage
	}
	if faults, ok := errors.AsType[*config.Error](err); ok {
		code, err = exitUsage, faults
	}
	if text := strings.TrimRight(err.Error(), "\n"); text != "" {
		fmt.Fprintf(c.Stderr, "ergon: %s\n", text)
	}
	return code
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "ergon",
		Short: "Run business transactions over a message bus",
		Long: "Ergon runs business transactions over NATS JetStream: it fetches them from a stream,\n" +
			"runs each through a task, stores what came out, keeps what failed with the reason,\n" +
			"and loses nothing.",
		SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
				hint = fmt.Sprintf(", did you mean %q?", names[0])
			}
			return usage("unknown command %q%s (see ergon --help)", args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVarP(&c.file, "config", "f", "", "configuration `FILE` (default ergon.yaml, where there is one)")
	flags.StringVar(&c.logLevel, "log-level", "", "least `LEVEL` of log lines: debug, info, warn or error (default: the command's own)")
	flags.StringVar(&c.logFormat, "log-format", "text", "`FORMAT` of log lines: text or json")
	flags.StringArrayVar(&c.sets, "set", nil, "`KEY=VALUE` of the configuration that wins over the file and the environment; can be repeated")
	flags.BoolVar(&c.json, "json", false, "print the result as one JSON object")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (see %s --help)", flagError(err), cmd.CommandPath())
	})
	fixed(root, "log-level", "debug", "info", "warn", "error")
	fixed(root, "log-format", "text", "json")
	root.CompletionOptions.DisableDefaultCmd = true // there is one of our own
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(c.demoCommand(), c.newCommand(), c.runCommand(), c.publishCommand(), c.tasksCommand(), c.txCommand(), c.dlqCommand(), c.whyCommand(), c.healthCommand(), c.configCommand(), c.busCommand(), c.benchCommand(), c.completionCommand(), c.versionCommand())
	for _, sub := range root.Commands() {
		usageArgs(sub)
	}
	return root
}

// program is what this one is called, for commands that messages advise.
func (p *Process) program() string { return cmp.Or(p.Name, "ergon") }

// flagError says what a flag takes, where pflag says how it failed to read it.
func flagError(err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	takes := map[string]string{
		"int": "a whole number", "int64": "a whole number", "uint64": "a whole number", "float64": "a number",
		"duration": "a time such as 500ms or 2s", "bool": "true or false",
	}[wrong.GetFlag().Value.Type()]
	if takes == "" {
		return err
	}
	return fmt.Errorf("--%s %q: it is %s", wrong.GetFlag().Name, wrong.GetValue(), takes)
}

// logger makes the command's logger: on stderr, so that stdout is the result's.
func (c *command) logger(level slog.Level) (*slog.Logger, error) {
	if c.logLevel != "" {
		if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
			return nil, usage("--log-level %q: it is debug, info, warn or error", c.logLevel)
		}
	}
	opts := &slog.HandlerOptions{Level: level}
	var log *slog.Logger
	switch c.logFormat {
	case "text":
		log = slog.New(slog.NewTextHandler(c.Stderr, opts))
	case "json":
		log = slog.New(slog.NewJSONHandler(c.Stderr, opts))
	default:
		return nil, usage("--log-format %q: it is text or json", c.logFormat)
	}
	if c.SetDefault != nil {
		c.SetDefault(log)
	}
	return log, nil
}
