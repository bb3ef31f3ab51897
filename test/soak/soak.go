// Command soak runs many transactions through a whole pipeline and shows that the
// process which ran them holds no more of anything at the end than it did early on,
// and that each transaction ended exactly once:
//
//	go run ./test/soak                  a million transactions, some minutes
//	go run ./test/soak -n 100000        fewer; a smaller leak is seen in more
//
// A generator publishes to a stream. A task with the default policy takes each
// message from there, under a lease, with parking and recorded starts, and publishes
// one output. One in a hundred fails with BUSINESS and becomes a dead letter; one in
// a hundred fails once with SYSTEM and is tried again. The nats-server is a process
// of its own with its store in the temporary directory (TMPDIR; a million takes
// about a gigabyte), so that what is measured is the client alone: generator,
// connections, connectors, engine.
//
// A hundred times, after each hundredth, the generator waits until everything is
// settled, and goroutines, live heap, resident memory and open files are measured.
// At rest, for under load the heap is what happens to be on its way: that differs
// by half from one moment to the next, and hides what stays. Growth is the median of
// the last quarter over that of the second: the first is left out because buffers
// grow to their size in it. More than 5 % of goroutines, heap or files is a leak, and
// exit code 1: with 1.5 MB live, a million transactions show one that keeps a byte
// for every sixth of them. Resident memory is shown and not judged, for the kernel
// has a say in it.
//
// Then the streams are read. A transaction without an end is lost, a second end is
// a duplicate, and an end that is not the one it should have is astray; one of any
// of them is exit code 1 too.
//
// With -profile DIR there is a heap profile of each tenth, for
// go tool pprof -diff_base.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/ergon-framework/ergon/engine"
)

func main() {
	if dir := os.Getenv(storeVariable); dir != "" {
		exit(serve(dir, os.Stdin, os.Stdout))
	}
	n := flag.Int("n", 1_000_000, "how many transactions, at least 100")
	profile := flag.String("profile", "", "write heap profiles to this `DIR`")
	flag.Parse()
	if *profile != "" {
		runtime.MemProfileRate = 4096 // what lives is small: the default would miss most of it
	}
	if flag.NArg() > 0 || *n < samples {
		fmt.Fprintf(os.Stderr, "soak: it takes no arguments, and -n of %d or more\n", samples)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *n, *profile)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run soaks, prints what came of it, and judges it.
func run(ctx context.Context, w io.Writer, n int, profile string) error {
	r, err := soak(ctx, w, n, profile)
	if r.samples != nil {
		printGrowth(w, r.samples)
		fmt.Fprintf(w, "%d transactions: %d outputs, %d dead letters, %d lost, %d duplicates, %d astray; %d retries, %d leases lost\n",
			n, r.ends.outputs, r.ends.letters, r.ends.lost, r.ends.doubled, r.ends.astray, r.report.Retries, r.report.Lost)
		err = errors.Join(err, judge(r.samples), r.ends.fault())
	}
	return err
}

type result struct {
	samples []sample // nil if it was ended before everything was counted
	report  engine.Report
	ends    ends
}

// soak leaves nothing behind, whatever happens.
func soak(ctx context.Context, w io.Writer, n int, profile string) (r result, err error) {
	dir, err := os.MkdirTemp("", "ergon-soak-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := startServer(dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	p, err := newPipeline(ctx, server.url, n)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.close()) }()

	began := time.Now()
	var taken []sample
	report, err := p.run(ctx, func(done int) error {
		taken = append(taken, take())
		if i := len(taken); i%(samples/10) == 0 {
			spent := time.Since(began)
			fmt.Fprintf(w, "%3d %%  %8d in %5.0fs  %6.0f/s %s\n",
				i*100/samples, done, spent.Seconds(), float64(done)/spent.Seconds(), taken[i-1])
		}
		return writeProfile(profile, len(taken))
	})
	if ctx.Err() != nil {
		return r, fmt.Errorf("ended after %d of %d: %w", p.done.Load(), n, context.Cause(ctx))
	}
	counted, countErr := countEnds(ctx, p.bus, n)
	return result{samples: taken, report: report, ends: counted}, errors.Join(err, countErr)
}
