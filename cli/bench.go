package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// What a bench does without being told.
const (
	benchCount = 100_000
	benchFor   = 30 * time.Second
	// benchDrain is how long what was published may take to come out in the end.
	benchDrain = 30 * time.Second
	// benchRoom bounds what the streams of a bench take of somebody's disk where no
	// --count was given; benchHeader is more than a message has beside its payload.
	benchRoom   = 4 << 30
	benchHeader = 512
)

// bench is one `ergon bench`.
type bench struct {
	count       int64
	lasts       time.Duration
	rate        float64
	size        int
	concurrency int
	window      int
	onBus       bool
	publishOnly bool
	subject     string
	storage     string
	replicas    int
	bounded     bool // the count follows from benchRoom
}

func (c *command) benchCommand() *cobra.Command {
	b := &bench{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what a bus and the engine carry: throughput, latencies, cost",
		Long: "Publish transactions and run them through a task that passes them on, in this process and\n" +
			"through the whole engine; print how many a second, how long each took until it was stored\n" +
			"and until its output was, and what one cost. It uses an embedded bus in a temporary store,\n" +
			"or the configured one (--on-bus), in streams of its own that it deletes at the end. With\n" +
			"--subject it only publishes, to that subject of the configured bus, and what it published\n" +
			"stays there: whoever consumes the subject gets it.\n\n" +
			"It ends after --count or --for, whichever comes first, or at Ctrl-C, and counts what was\n" +
			"under way. Without --rate it goes as fast as it can, and the latency from end to end is\n" +
			"mostly the time spent in the stream; with one, latency is measured from when a transaction\n" +
			"was due, so that a bus that stalls can't hide it. The cost is this process's: publisher,\n" +
			"engine and, where it is embedded, the server.\n\n" +
			"Without a --count of its own it also ends when its streams have taken about 4 GiB of the\n" +
			"bus's disk, and says so; name a --count to let it take more.",
		Example: "  ergon bench\n" +
			"  ergon bench --rate 5000 --for 10s --size 1024\n" +
			"  ERGON_BUS_URL=nats://127.0.0.1:4222 ergon bench --on-bus --replicas 3\n" +
			"  ergon bench --subject orders.placed --count 1000 --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.check(cmd.Flags().Changed); err != nil {
				return err
			}
			return c.bench(b)
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&b.count, "count", benchCount, "end after `N` transactions (0: by time, or at 4 GiB of its streams)")
	flags.DurationVar(&b.lasts, "for", benchFor, "end after this `TIME` (0s: by count alone)")
	flags.Float64Var(&b.rate, "rate", 0, "`N` transactions per second (0: as fast as it goes)")
	flags.IntVar(&b.size, "size", 256, "`BYTES` of a payload")
	flags.IntVar(&b.concurrency, "concurrency", 256, "run `N` of them at once in the task")
	flags.IntVar(&b.window, "window", bus.DefaultWindow, "let `N` of them wait for the stream to confirm; at full speed, latency follows from it")
	flags.BoolVar(&b.onBus, "on-bus", false, "use the configured bus (ERGON_BUS_URL, bus.url)")
	flags.BoolVar(&b.publishOnly, "publish-only", false, "only publish, and run no task")
	flags.StringVar(&b.subject, "subject", "", "only publish, to this `SUBJECT` of the configured bus")
	flags.StringVar(&b.storage, "storage", bus.StorageFile, "`WHERE` its streams are kept, file or memory")
	flags.IntVar(&b.replicas, "replicas", 1, "keep `N` copies of its streams")
	fixed(cmd, "storage", bus.StorageFile, bus.StorageMemory)
	return cmd
}

func (b *bench) check(given func(string) bool) error {
	switch {
	case b.count < 0, b.lasts < 0, b.rate < 0:
		return usage("--count, --for and --rate are 0 or more")
	case b.count == 0 && b.lasts == 0:
		return usage("--count 0 and --for 0s: it would never end: give it one of them")
	case b.size < benchLeast || b.size > 8<<20:
		return usage("--size %d: it is from %d to %d: the time is in it, and no server takes more", b.size, benchLeast, 8<<20)
	case b.concurrency < 1 || b.concurrency > 1_000_000:
		return usage("--concurrency %d: it is from 1 to 1000000", b.concurrency)
	case b.window < 1 || b.window > 1_000_000:
		return usage("--window %d: it is from 1 to 1000000", b.window)
	case b.storage != bus.StorageFile && b.storage != bus.StorageMemory:
		return usage("--storage %q: it is file or memory", b.storage)
	case b.replicas < 1 || b.replicas > 5:
		return usage("--replicas %d: it is from 1 to 5", b.replicas)
	}
	// Each lies in two streams, at the most.
	if most := int64(benchRoom / (2 * (b.size + benchHeader))); b.count == 0 || b.count > most && !given("count") {
		b.count, b.bounded = most, true
	}
	if given("subject") {
		if err := bus.CheckSubject(b.subject); err != nil {
			return usage("--subject: %w", err)
		}
		for _, name := range []string{"storage", "replicas"} {
			if given(name) {
				return usage("--%s is of a stream of its own: not with --subject", name)
			}
		}
		b.publishOnly, b.onBus = true, true
	}
	if given("concurrency") && b.publishOnly {
		return usage("--concurrency is the task's, and none runs")
	}
	return nil
}

func (c *command) bench(b *bench) (err error) {
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	if !b.onBus {
		store, err := os.MkdirTemp("", "ergon-bench-")
		if err != nil {
			return fmt.Errorf("make a temporary store: %w", err)
		}
		defer func() { _ = os.RemoveAll(store) }() // a rest of it is the system's to clear
		cfg.Bus = config.Bus{Config: bus.Config{URL: config.Embedded}, Store: store, Listen: config.ListenOff}
	}
	return c.withBus(cfg.Bus, log, func(conn *app.Conn) (err error) {
		r := &benchRun{bench: b, conn: conn, log: log, force: c.stop.force, showing: c.progress}
		if b.subject == "" {
			if err := r.makeStreams(c.stop.ctx); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.dropStreams(context.WithoutCancel(c.stop.ctx))) }()
		}
		err = r.run(c.stop.ctx)
		if err != nil || c.stop.forcedBy() != 0 {
			return err
		}
		if err := c.printBench(r); err != nil {
			return err
		}
		if b.bounded && r.sent == b.count {
			fmt.Fprintf(c.Stderr, "ended at about 4 GiB of its streams (%s transactions): name a --count to let it take more\n", thousands(b.count))
		}
		if failed, missing := r.failed.Load(), r.missing(); failed > 0 || missing > 0 {
			return fmt.Errorf("%s could not be stored, and %s did not come out within %s: %w",
				thousands(failed), thousands(missing), r.drainTime(), r.firstError())
		}
		return nil
	})
}
