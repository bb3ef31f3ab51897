package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// demoMost is where a demo without --count stops generating: its store lies on
// somebody's disk.
const demoMost = 2_000_000

// demo is one `ergon demo`.
type demo struct {
	rate   float64
	count  int64
	listen string

	published atomic.Int64
}

func (c *command) demoCommand() *cobra.Command {
	d := &demo{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it all: a bus, a task and a stream of transactions, in one process",
		Long: "Run an embedded bus in a temporary store, the example's task, and a generator of\n" +
			"transactions. Ctrl-C drains and prints what became of every one of them, counted from\n" +
			"the streams.",
		Example: "  ergon demo\n  ergon demo --rate 20000\n  ergon demo --count 2000 --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return c.demo(d) },
	}
	cmd.Flags().Float64Var(&d.rate, "rate", 2000, "`N` transactions per second (0: as fast as it goes)")
	cmd.Flags().Int64Var(&d.count, "count", 0, "end after `N` transactions (0: at Ctrl-C)")
	cmd.Flags().StringVar(&d.listen, "listen", "127.0.0.1:0", "`HOST:PORT` of the bus for other processes; port 0 takes a free one")
	return cmd
}

func (c *command) demo(d *demo) (err error) {
	if d.rate < 0 || d.count < 0 {
		return usage("--rate and --count are 0 or more")
	}
	if c.file != "" {
		return usage("-f %s: the demo has a configuration of its own: ergon run -f FILE runs yours", c.file)
	}
	var shown demoIn
	if err := fx.New(c.modules, fx.Populate(&shown), fx.NopLogger, fx.RecoverFromPanics()).Err(); err != nil {
		return err
	}
	if shown.Demo == nil {
		return usage("this program's modules supply no app.Demo: use the stock ergon, or supply one")
	}
	// One line per dead letter would drown what the demo shows.
	log, err := c.logger(slog.LevelError + 4)
	if err != nil {
		return err
	}
	in, err := c.inputs()
	if err != nil {
		return err
	}
	in.Env.Names = nil // variables are of a file of the user's, whose tasks are not known here
	shownConfig, err := config.Resolve("demo", shown.Demo.Config, in)
	if err != nil {
		return err
	}
	cfg := shownConfig.Config
	store, err := os.MkdirTemp("", "ergon-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(store)) }()
	cfg.Bus = config.Bus{Config: bus.Config{URL: config.Embedded}, Store: store, Listen: d.listen}
	cfg.Admin.Listen = config.ListenOff // a run that is looked at may have its default address
	if err := cfg.Validate(); err != nil {
		return err
	}
	return c.withBus(cfg.Bus, log, func(conn *app.Conn) error {
		return c.runDemo(d, shown.Demo, app.Options{Config: cfg, Logger: log, Conn: conn})
	})
}

type demoIn struct {
	fx.In
	Demo *app.Demo `optional:"true"`
}

// runDemo runs until the count is reached or the first signal, and then on until
// everything that was published has its end: nothing would be shown by counting
// what was cut off. A second signal forces the end.
func (c *command) runDemo(d *demo, shown *app.Demo, opts app.Options) error {
	began := time.Now()
	generated := make(chan struct{})
	opts.UntilEmpty, opts.Feeding = true, generated
	var failed error // read once generated is closed
	until, giveUp := context.WithCancel(context.WithoutCancel(c.stop.ctx))
	defer giveUp()
	runner, err := c.drive(opts, until, func(r *app.Runner) func() {
		c.greet(shown, opts.Conn.URL)
		go func() {
			defer close(generated)
			if failed = d.generate(c.stop.ctx, opts.Conn, shown); failed != nil {
				// A bus that stores no more lets what it holds have no end either.
				r.Abort()
				giveUp()
			}
		}()
		line := c.progress(func() string { return d.line(r, began) })
		return func() {
			line()
			select {
			case <-generated:
			case <-c.stop.force:
			}
		}
	})
	took := time.Since(began)
	if c.stop.forcedBy() != 0 {
		return err
	}
	if runner != nil && failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	if !c.json {
		fmt.Fprintln(c.Stderr, "Drained. Counting from the streams what became of each, which takes a while after a long run.")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), time.Minute)
	defer cancel()
	n, err := count(ctx, opts.Conn, opts.Config, shown)
	if err != nil {
		return err
	}
	if err := c.printDemo(shown, n, took); err != nil {
		return err
	}
	if n.lost > 0 || n.duplicates > 0 {
		return &exitError{exitFailed, fmt.Errorf("%d transactions have no end, %d have two", n.lost, n.duplicates)}
	}
	return &exitError{runner.ExitCode(), runner.Err()}
}

func (c *command) greet(shown *app.Demo, url string) {
	if c.json {
		return
	}
	fmt.Fprintf(c.Stderr, "The bus is at %s. From another terminal:\n"+
		"  ERGON_BUS_URL=%s ergon publish %s --file FILE.csv\n"+
		"  nats --server %s sub '>'\n"+
		"Ctrl-C drains and counts.\n", url, url, shown.Subject, url)
}

// generate publishes until ctx ends or the count is reached.
func (d *demo) generate(ctx context.Context, conn *app.Conn, shown *app.Demo) (err error) {
	pub, err := conn.NewPublisher(bus.PublisherConfig{})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, pub.Close(closing))
	}()
	most := d.count
	if most == 0 {
		most = demoMost
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var once sync.Once
	var failed error
	pace := newPacer(d.rate)
	for n := int64(0); n < most && pace.wait(ctx); n++ {
		tx := ergon.Make(ergon.Envelope{
			ID: "demo-" + strconv.FormatInt(n, 10), Source: "/ergon/demo", Type: shown.Subject,
			CreatedAt: time.Now().UTC(), ContentType: ergon.JSON.ContentType(),
		}, shown.Generate(int(n)))
		jetstream.Publish(ctx, pub, shown.Subject, tx, func(_ bool, err error) {
			if err == nil {
				d.published.Add(1)
			} else if ctx.Err() == nil {
				once.Do(func() {
					failed = fmt.Errorf("generate: %w", err)
					stop() // the next would fail too
				})
			}
		})
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := pub.Flush(closing); err != nil {
		return err
	}
	return failed
}

// line is the demo's live line.
func (d *demo) line(r *app.Runner, began time.Time) string {
	rate := float64(0)
	if s := time.Since(began).Seconds(); s > 0 {
		for _, snap := range r.Snapshots() {
			rate += float64(snap.Succeeded+snap.Dead) / s
		}
	}
	return fmt.Sprintf("%s published   %s   %s/s", thousands(d.published.Load()), runLine(r.Snapshots()), thousands(int64(rate)))
}

func (c *command) printDemo(shown *app.Demo, n counts, took time.Duration) error {
	if c.json {
		result := map[string]any{
			"published": n.published, "dead": n.dead, "lost": n.lost, "duplicates": n.duplicates, "seconds": took.Seconds(),
		}
		for name := range shown.Counts {
			result[name] = n.named[name]
		}
		return c.printJSON(result)
	}
	named := ""
	for _, name := range sortedKeys(shown.Counts) {
		named += fmt.Sprintf(", %s %s", thousands(n.named[name]), name)
	}
	return c.printf("%s published%s, %s dead letters, %s lost, %s duplicates, in %s (counted from the streams)\n",
		thousands(n.published), named, thousands(n.dead), thousands(n.lost), thousands(n.duplicates), short(took))
}
