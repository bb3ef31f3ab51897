package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// why is one `ergon why`.
type why struct {
	adminAsk
	id     string
	source string
	told   admin.Why
}

func (c *command) whyCommand() *cobra.Command {
	w := &why{}
	cmd := &cobra.Command{
		Use:   "why ID",
		Short: "Say what became of a transaction, and which rule decided it",
		Long: "Say what became of a transaction, by its ID or by the number of its dead letter: each\n" +
			"attempt, its error, what in the policy decided how it went on, and where it went. The\n" +
			"running process is asked first (see admin.trail); where it does not know how it ended, the\n" +
			"dead letters are looked through.\n\n" +
			"A transaction that did well at once is remembered nowhere.",
		Example: "  ergon why lines.csv-24-f922024156ac0f32\n  ergon why 17 --json | jq .deliveries[].attempts",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			w.id = args[0]
			return c.why(w)
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&w.source, "source", "", "only of the source `S`, where several give out the same IDs")
	return cmd
}

func (c *command) why(w *why) error {
	if w.id == "" {
		return usage("ID is empty: %s dlq ls lists the dead letters, with their transactions' IDs", c.program())
	}
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	w.told = admin.NewWhy(w.id, w.source, nil)
	w.ask(c, cfg)
	if !w.told.Final() {
		w.lookForLetters(c, cfg, log)
	}
	w.told.Found = len(w.told.Deliveries)+len(w.told.Letters) > 0
	if c.json {
		if err := c.printVisibleJSON(w.told); err != nil {
			return err
		}
	} else if err := c.printf("%s", visibleText(w.told.TextFor(c.program()))); err != nil {
		return err
	}
	if !w.told.Found {
		return fmt.Errorf("transaction %q is not known: it may have done well at once, which is remembered nowhere, be still under way, or have another ID", w.id)
	}
	return nil
}

// ask asks the process. That nobody answers is no failure: the process may be gone,
// and that may be why somebody asks.
func (w *why) ask(c *command, cfg *config.Config) {
	looked := admin.WhyLooked{Where: "the running process"}
	defer func() { w.told.Looked = append(w.told.Looked, looked) }()
	err := w.complete(cfg, c.Env)
	if err == nil {
		looked.Where += " at " + w.addr
		if looked.Found, err = w.askAt(c); err == nil && w.told.App != "" {
			looked.Where += ", app " + w.told.App
		}
	}
	if err != nil {
		looked.Error = err.Error()
	}
}

func (w *why) askAt(c *command) (found int, err error) {
	query := url.Values{"id": {w.told.ID}}
	if w.source != "" {
		query.Set("source", w.source)
	}
	r, err := w.get(c.stop.ctx, "/why", query)
	if err != nil {
		return 0, err
	}
	var told admin.Why
	if !r.json || r.code != http.StatusOK && r.code != http.StatusNotFound {
		return 0, fmt.Errorf("it answered %d %s: is this an ergon?", r.code, cutText(r.text()))
	}
	if err := json.Unmarshal(r.body, &told); err != nil {
		return 0, fmt.Errorf("its answer: %w", err)
	}
	w.told.App = told.App
	w.told.Deliveries = append(w.told.Deliveries, told.Deliveries...)
	return len(told.Deliveries), nil
}

// lookForLetters looks through the dead-letter streams: by the transaction's ID, and
// where that finds nothing for the letter with that number, whose transaction the
// process may know.
func (w *why) lookForLetters(c *command, cfg *config.Config, log *slog.Logger) {
	streams, err := deadStreams(cfg, "", nil)
	looked := admin.WhyLooked{Where: "the dead letters of " + streamsLine(streams)}
	var found []bus.DeadRecord
	if err == nil {
		err = c.withBus(cfg.Bus, log, func(conn *app.Conn) error {
			found, err = w.letters(c, conn, streams)
			return err
		})
	}
	looked.Found = len(found)
	if err != nil {
		looked.Error = err.Error()
	}
	w.told.Looked = append(w.told.Looked, looked)
	for _, r := range found {
		w.told.Letters = append(w.told.Letters, newWhyLetter(r))
	}
	if n := len(found); n > 0 && found[n-1].TransactionID != w.told.ID && found[n-1].TransactionID != "" {
		w.told.ID = found[n-1].TransactionID // it was the number of a letter
		if w.told.Looked[0].Error == "" {    // who can't be asked by a number can't by an ID
			w.ask(c, cfg)
		}
	}
}

func (w *why) letters(c *command, conn *app.Conn, streams []string) (found []bus.DeadRecord, err error) {
	for _, stream := range streams {
		_, err := conn.ScanDeadLetters(c.stop.ctx, stream, bus.DeadFilter{TransactionID: w.id}, func(r bus.DeadRecord) error {
			if w.comesFrom(r) {
				found = append(found, r)
			}
			return nil
		})
		if err != nil && !errors.Is(err, bus.ErrStreamGone) {
			return found, err
		}
	}
	if seq, err := strconv.ParseUint(w.id, 10, 64); err == nil && len(found) == 0 {
		for _, stream := range streams {
			r, err := conn.DeadLetterAt(c.stop.ctx, stream, seq)
			switch {
			case err == nil && w.comesFrom(r):
				found = append(found, r)
			case err != nil && !errors.Is(err, bus.ErrNoDeadLetter) && !errors.Is(err, bus.ErrStreamGone):
				return found, err
			}
		}
	}
	slices.SortStableFunc(found, func(a, b bus.DeadRecord) int { return cmp.Compare(a.StoredAt.UnixNano(), b.StoredAt.UnixNano()) })
	return found, nil
}

// comesFrom reports whether a letter's transaction has the source that is asked for. A
// plain message names none in its headers: its stream is its source.
func (w *why) comesFrom(r bus.DeadRecord) bool {
	if w.source == "" {
		return true
	}
	for name, values := range r.Header {
		if http.CanonicalHeaderKey(name) == "Ce-Source" && len(values) > 0 && values[0] != "" {
			source, err := url.PathUnescape(values[0])
			return err == nil && source == w.source
		}
	}
	return w.source == "nats:"+r.Letter.Stream
}

func newWhyLetter(r bus.DeadRecord) admin.WhyLetter {
	l := r.Letter
	return admin.WhyLetter{
		Stream: r.Stream, Seq: r.Sequence, Task: l.Task,
		Error:   admin.WhyError{Phase: l.Phase, Category: l.Category, Reason: l.Reason},
		Handler: l.HandlerError, Attempts: l.Attempts, Deliveries: l.Deliveries, Outputs: l.Outputs,
		FirstSeen: stamp(l.FirstSeen), FailedAt: stamp(l.FailedAt),
	}
}
