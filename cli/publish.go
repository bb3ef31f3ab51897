package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/internal/records"
)

// publishListed is how many records that are left out are reported one by one.
const publishListed = 100

// publishing is one `ergon publish`.
type publishing struct {
	subject  string
	file     string
	format   string
	id       string
	rate     float64
	progress func(func() string) func()
	report   func(format string, a ...any)

	listed atomic.Int64 // of those left out

	stored, duplicates, malformed, failed atomic.Int64
}

func (c *command) publishCommand() *cobra.Command {
	p := &publishing{}
	cmd := &cobra.Command{
		Use:   "publish SUBJECT",
		Short: "Publish the records of a file as transactions",
		Long: "Publish each record of a file, or of the standard input, as one transaction. CSV columns\n" +
			"become string fields of a JSON object; a line of JSONL is published as it is; raw is the\n" +
			"whole input as one payload. Each record gets a stable ID, so that publishing a file twice\n" +
			"stores it once within the stream's duplicate window.",
		Example: "  ergon publish retail.lines --file lines.csv\n" +
			"  ergon publish orders.placed --file orders.jsonl --id '{field:order_id}'\n" +
			"  echo '{\"name\":\"Ada\"}' | ergon publish hello.names",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p.subject = args[0]
			return c.publish(p)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.file, "file", "-", "`FILE` to read, - for the standard input")
	flags.StringVar(&p.format, "format", "", "`FORMAT` of the file: csv, jsonl or raw (default: csv or jsonl as the file's extension says, .ndjson is jsonl, .json is raw; jsonl for -)")
	flags.StringVar(&p.id, "id", records.DefaultID, "`TEMPLATE` of a record's ID: {file} {n} {line} {hash} {field:NAME}")
	flags.Float64Var(&p.rate, "rate", 0, "`N` records per second (0: as fast as it goes)")
	return cmd
}

func (c *command) publish(p *publishing) error {
	if err := bus.CheckSubject(p.subject); err != nil {
		return usage("subject: %w", err)
	}
	if p.rate < 0 {
		return usage("--rate %v: it is 0 (as fast as it goes) or more", p.rate)
	}
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	in, format, err := c.open(p)
	if err != nil {
		return err
	}
	defer in.Close()
	reader, err := records.NewReader(in, p.file, format, p.id)
	if err != nil {
		return usage("%w", err)
	}
	cfg, fromFile, err := c.load(false)
	if err != nil {
		return err
	}
	p.progress = c.progress
	p.report = func(format string, a ...any) { fmt.Fprintf(c.Stderr, "ergon: "+format+"\n", a...) }
	return c.withBus(cfg.Bus, log, func(conn *app.Conn) error {
		if fromFile {
			// The file says which stream takes the subject: whoever publishes before the
			// tasks ran for the first time finds it.
			if _, err := conn.Ensure(c.stop.ctx, bus.Topology{Streams: cfg.Topology()}); err != nil {
				return err
			}
		}
		began := time.Now()
		err := p.run(c.stop.ctx, conn, reader)
		err = errors.Join(err, c.printPublished(p, time.Since(began)))
		if err == nil && p.malformed.Load()+p.failed.Load() > 0 {
			err = &exitError{code: exitFailed} // each was reported when it came
		}
		return err
	})
}

// open opens the input and settles its format.
func (c *command) open(p *publishing) (io.ReadCloser, records.Format, error) {
	format := records.FormatOf(p.file)
	if p.format != "" {
		var err error
		if format, err = records.ParseFormat(p.format); err != nil {
			return nil, "", usage("--format: %w", err)
		}
	}
	if p.file == "-" || p.file == "" {
		return io.NopCloser(c.Stdin), format, nil
	}
	if format == "" {
		return nil, "", usage("--file %q: its name does not say what its records are: add --format csv or jsonl, or raw for the whole file as one payload", p.file)
	}
	f, err := os.Open(p.file)
	if err != nil {
		return nil, "", usage("--file: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // nothing was written
		return nil, "", usage("--file %q: it is a directory: name one file", p.file)
	}
	return f, format, nil
}

// run publishes every record. What is malformed, or can never be stored, is
// reported and left out; what would fail for every record ends it.
func (p *publishing) run(ctx context.Context, conn *app.Conn, reader *records.Reader) (err error) {
	pub, err := conn.NewPublisher(bus.PublisherConfig{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var answers sync.WaitGroup
	defer p.progress(func() string {
		return fmt.Sprintf("%s published, %s duplicates, %s left out", thousands(p.stored.Load()), thousands(p.duplicates.Load()), thousands(p.malformed.Load()+p.failed.Load()))
	})()
	defer func() {
		answers.Wait()
		closing, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer stop()
		err = errors.Join(err, pub.Close(closing))
		if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}()
	pace := newPacer(p.rate)
	next := read(ctx, reader)
	for ctx.Err() == nil {
		rec, ok, err := next()
		if !ok {
			break
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if bad, ok := errors.AsType[*records.MalformedError](err); ok {
			p.malformed.Add(1)
			p.leftOut("%v", bad)
			continue
		}
		if err != nil {
			return err
		}
		if !pace.wait(ctx) {
			break
		}
		answers.Add(1)
		jetstream.Publish(ctx, pub, p.subject, p.transaction(rec), func(duplicate bool, err error) {
			defer answers.Done()
			p.answered(rec, duplicate, err, cancel)
		})
	}
	if context.Cause(ctx) == nil || errors.Is(context.Cause(ctx), context.Canceled) {
		p.report("stopped: the rest of the file was not published; the same command again goes on without duplicates")
		return &exitError{code: exitFailed}
	}
	return nil
}

// read reads records in a goroutine, so that a signal is heard while a terminal or
// a pipe has nothing to read. Such a read can't be cut short: the goroutine ends
// with it, or with the process. ok is false once ctx has ended.
func read(ctx context.Context, reader *records.Reader) (next func() (rec records.Record, ok bool, err error)) {
	type result struct {
		rec records.Record
		err error
	}
	results := make(chan result)
	go func() {
		for {
			rec, err := reader.Next()
			select {
			case results <- result{rec, err}:
			case <-ctx.Done():
				return
			}
			if errors.Is(err, io.EOF) {
				return
			}
		}
	}()
	return func() (records.Record, bool, error) {
		select {
		case r := <-results:
			return r.rec, true, r.err
		case <-ctx.Done():
			return records.Record{}, false, nil
		}
	}
}

// leftOut reports a record that is left out. A file that is not what it is taken for is
// nothing but such records, and a line for each would be as long as the file.
func (p *publishing) leftOut(format string, a ...any) {
	switch n := p.listed.Add(1); {
	case n <= publishListed:
		p.report(format, a...)
	case n == publishListed+1:
		p.report("%s: what else is left out of it is counted and not listed", p.file)
	}
}

func (p *publishing) transaction(rec records.Record) ergon.Raw {
	return ergon.Make(ergon.Envelope{
		ID: rec.ID, Source: "/ergon/publish", Type: p.subject,
		CreatedAt: time.Now().UTC(), ContentType: rec.ContentType,
	}, rec.Data)
}

func (p *publishing) answered(rec records.Record, duplicate bool, err error, cancel context.CancelCauseFunc) {
	switch {
	case err == nil && duplicate:
		p.duplicates.Add(1)
	case err == nil:
		p.stored.Add(1)
	case errors.Is(err, bus.ErrTooLarge):
		p.failed.Add(1)
		p.leftOut("%s:%d: %v", p.file, rec.Line, err)
	default:
		// No stream, no permission, no connection: the next record would fail too.
		if p.failed.Add(1) == 1 {
			cancel(fmt.Errorf("%s:%d: %w; the rest of the file was not published", p.file, rec.Line, err))
		}
	}
}

func (c *command) printPublished(p *publishing, took time.Duration) error {
	stored, duplicates, malformed, failed := p.stored.Load(), p.duplicates.Load(), p.malformed.Load(), p.failed.Load()
	if c.json {
		return c.printJSON(map[string]any{
			"subject": p.subject, "file": p.file, "published": stored, "duplicates": duplicates,
			"malformed": malformed, "failed": failed, "seconds": took.Seconds(),
		})
	}
	return c.printf("published %s to %s in %s: %s duplicates dropped by the stream, %s malformed, %s failed\n",
		thousands(stored), p.subject, short(took), thousands(duplicates), thousands(malformed), thousands(failed))
}

// pacer spreads events over time.
type pacer struct {
	every time.Duration
	next  time.Time
}

func newPacer(perSecond float64) *pacer {
	if perSecond <= 0 {
		return &pacer{}
	}
	return &pacer{every: time.Duration(float64(time.Second) / perSecond), next: time.Now()}
}

// wait returns when the next event is due, or false when ctx ended first. What
// was missed is caught up on, at most a second of it.
func (p *pacer) wait(ctx context.Context) bool {
	if p.every == 0 {
		return ctx.Err() == nil
	}
	now := time.Now()
	if late := now.Add(-time.Second); p.next.Before(late) {
		p.next = late
	}
	due := p.next
	p.next = p.next.Add(p.every)
	if !due.After(now) {
		return ctx.Err() == nil
	}
	t := time.NewTimer(due.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
