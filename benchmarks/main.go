// Command benchmarks measures Ergon against loops that are written by hand on
// nats.go. See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	contender "github.com/ergon-framework/ergon/benchmarks/ergon"
	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/raw"
	"github.com/ergon-framework/ergon/benchmarks/tasks"
	"github.com/ergon-framework/ergon/benchmarks/web"
)

// contenders are all that this binary can be started as.
var contenders = map[string]harness.Contender{
	"raw":       raw.Run,
	"raw-wire":  raw.RunWire,
	"raw-room":  raw.RunRoom,
	"wire-room": raw.RunWireRoom,
	"raw-tasks": raw.RunTasks,
	"ergon":     contender.Run,
	"tasks":     tasks.Run,
	"apart":     tasks.RunApart,

	"raw-http":     raw.RunHTTPSource,
	"ergon-http":   web.RunSource,
	"raw-client":   raw.RunHTTPSink,
	"ergon-client": web.RunSink,
	"ergon-engine": web.RunEngineSink,
}

// compared are those that are measured against each other.
var compared = []string{"raw", "raw-wire", "ergon", "raw-room", "wire-room"}

func main() {
	if code, isChild := harness.Child(os.Args[1:], contenders); isChild {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the measurement in order. The second ends this process
	// at once, and its children with it.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// run does what the flags say, and prints tables on out and each run on progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	c := &o.compare
	c.Progress = func(text string) { fmt.Fprintln(progress, text) }
	switch {
	case o.flat:
		options := harness.FlatOptions{
			N: c.N, Rounds: c.Rounds, Timeout: c.Timeout, Progress: c.Progress, One: "ergon", Many: "tasks", Apart: "apart", Raw: "raw-tasks",
			Profiles: c.Profiles, Backlogs: o.backlogs, Tasks: o.tasks, Slots: o.slots, Paced: o.paced,
		}
		results, err := harness.Flat(ctx, options)
		if err != nil {
			return err
		}
		return harness.FlatTable(out, options, results)
	case o.scale:
		results, err := harness.Scale(ctx, harness.ScaleOptions{
			N: c.N, Rounds: c.Rounds, Timeout: c.Timeout, Progress: c.Progress, Contender: "ergon", Processes: []int{1, 2, 3},
		})
		if err != nil {
			return err
		}
		return harness.ScaleTable(out, c.N, c.Rounds, results)
	case o.http:
		options := harness.HTTPOptions{
			N: c.N, Rounds: c.Rounds, Timeout: c.Timeout, Profiles: c.Profiles, Progress: c.Progress,
			Sources: []string{"raw-http", "ergon-http"}, Sinks: []string{"raw-client", "ergon-client", "ergon-engine"},
		}
		results, err := harness.HTTP(ctx, options)
		if err != nil {
			return err
		}
		return harness.HTTPTable(out, options, results)
	case o.from != "":
		r, err := harness.ReadRecord(o.from)
		if err != nil {
			return err
		}
		return show(r, o.svg, out)
	}
	return compare(ctx, o, out)
}

func compare(ctx context.Context, o options, out io.Writer) error {
	// Found out now, and not after an hour.
	if err := writable(o.svg, o.json); err != nil {
		return err
	}
	results, err := harness.Run(ctx, o.compare)
	if err != nil {
		return err
	}
	r := harness.NewRecord(o.compare, results)
	err = show(r, o.svg, out)
	if o.json != "" {
		err = errors.Join(err, r.Write(o.json))
	}
	return err
}

func show(r harness.Record, svg string, out io.Writer) error {
	if err := harness.Table(out, r); err != nil {
		return err
	}
	if svg == "" {
		return nil
	}
	if err := os.WriteFile(svg, harness.Plot(r), 0o644); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	return nil
}

// writable fails where a file has no place.
func writable(files ...string) error {
	for _, name := range files {
		dir := filepath.Dir(name)
		if i, err := os.Stat(dir); name != "" && (err != nil || !i.IsDir()) {
			return fmt.Errorf("%s cannot be written: %s is not a directory", name, dir)
		}
	}
	return nil
}
