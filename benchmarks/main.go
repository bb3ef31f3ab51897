// Command benchmarks measures Ergon against loops that are written by hand on
// nats.go. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	contender "github.com/ergon-framework/ergon/benchmarks/ergon"
	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/raw"
)

// contenders are all that this binary can be started as.
var contenders = map[string]harness.Contender{
	"raw":      raw.Run,
	"raw-wire": raw.RunWire,
	"ergon":    contender.Run,
}

func main() {
	if code, isChild := harness.Child(os.Args[1:], contenders); isChild {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the measurement in order. The second ends this process
	// at once, and its children with it.
	context.AfterFunc(ctx, stop)
	err := compare(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// compare measures, and prints the table on out and each run on progress.
func compare(ctx context.Context, args []string, out, progress io.Writer) error {
	var o harness.Options
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Int64Var(&o.N, "n", 200_000, "transactions per run")
	flags.IntVar(&o.Rounds, "rounds", 5, "rounds, of which the medians are taken")
	names := flags.String("w", "W1,W2,W3,W4,W5", "workloads")
	who := flags.String("c", "raw,raw-wire,ergon", "contenders")
	flags.IntVar(&o.Rate, "rate", 2000, "transactions per second in W3")
	flags.DurationVar(&o.For, "for", 20*time.Second, "how long W3 is published")
	flags.DurationVar(&o.Timeout, "timeout", 3*time.Minute, "how long one run may take")
	flags.StringVar(&o.Profiles, "profiles", "", "directory for CPU, allocation, block and mutex profiles of the contenders, which cost some time")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected %q: there are only flags (see -h)", flags.Args())
	}
	if o.Workloads, err = harness.Select(*names); err != nil {
		return err
	}
	for name := range strings.SplitSeq(*who, ",") {
		if contenders[name] == nil {
			return fmt.Errorf("there is no contender %q: choose from raw, raw-wire, ergon, separated by commas", name)
		}
		o.Contenders = append(o.Contenders, name)
	}
	o.Progress = func(text string) { fmt.Fprintln(progress, text) }
	results, err := harness.Run(ctx, o)
	if err != nil {
		return err
	}
	return harness.Table(out, harness.NewRecord(o, results))
}
