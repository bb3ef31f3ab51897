package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// shownReason is how much of a reason there must be room for in a terminal's line.
const shownReason = 24

// dlqList is one `ergon dlq ls`.
type dlqList struct {
	deadSelect
	limit int
}

func (c *command) dlqLsCommand() *cobra.Command {
	l := &dlqList{}
	cmd := &cobra.Command{
		Use:   "ls [TASK…]",
		Short: "List dead letters, the newest last",
		Long: "List the dead letters of all tasks, or of those named, the newest last. A letter is listed\n" +
			"if all filters admit it; one that is given twice admits either value.",
		Example: "  ergon dlq ls\n" +
			"  ergon dlq ls score --since 1h --reason 'not positive'\n" +
			"  ergon dlq ls --category SYSTEM --category TIMEOUT --limit 0\n" +
			"  ergon dlq ls --json | jq -r '.letters[].reason' | sort | uniq -c",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeTasks,
		RunE: func(_ *cobra.Command, args []string) error {
			l.filter.Tasks = append(l.filter.Tasks, args...)
			return c.dlqLs(l)
		},
	}
	l.flags(c, cmd)
	cmd.Flags().IntVar(&l.limit, "limit", 100, "the newest `N` (0: all)")
	return cmd
}

func (c *command) dlqLs(l *dlqList) error {
	if l.limit < 0 {
		return usage("--limit %d: it is 0 (all) or more", l.limit)
	}
	if err := l.check(time.Now()); err != nil {
		return err
	}
	return c.withDead(&l.deadSelect, func(conn *app.Conn, _ *config.Config, streams []string) error {
		found, err := l.read(c, conn, streams)
		if err != nil {
			return err
		}
		return c.printDead(l, streams, found)
	})
}

// deadFound is what `ergon dlq ls` found.
type deadFound struct {
	newest          []bus.DeadRecord
	matched, looked int
	missing         []string // streams that don't exist
}

// read keeps no more than twice as many letters as are asked for, and none of
// their own headers: a stream may hold millions.
func (l *dlqList) read(c *command, conn *app.Conn, streams []string) (found deadFound, err error) {
	for _, stream := range streams {
		var newest []bus.DeadRecord
		looked, err := conn.ScanDeadLetters(c.stop.ctx, stream, l.filter, func(r bus.DeadRecord) error {
			found.matched++
			r.Header = nil
			if newest = append(newest, r); l.limit > 0 && len(newest) >= 2*l.limit {
				newest = append(newest[:0], newest[len(newest)-l.limit:]...)
			}
			return nil
		})
		if errors.Is(err, bus.ErrStreamGone) {
			if err := l.gone(stream); err != nil {
				return found, err
			}
			found.missing = append(found.missing, stream)
			continue
		}
		if err != nil {
			return found, err
		}
		found.looked += looked
		found.newest = append(found.newest, newest...)
	}
	// Each stream is in order; this is for several.
	slices.SortStableFunc(found.newest, func(a, b bus.DeadRecord) int { return cmp.Compare(a.StoredAt.UnixNano(), b.StoredAt.UnixNano()) })
	if more := len(found.newest) - l.limit; l.limit > 0 && more > 0 {
		found.newest = found.newest[more:]
	}
	return found, nil
}

func (c *command) printDead(l *dlqList, streams []string, found deadFound) error {
	older := found.matched - len(found.newest)
	if c.json {
		out := struct {
			Letters []letterInfo `json:"letters"`
			Matched int          `json:"matched"`
			Older   int          `json:"older"` // those of the matched that are not among the letters
		}{make([]letterInfo, 0, len(found.newest)), found.matched, older}
		for _, r := range found.newest {
			out.Letters = append(out.Letters, newLetterInfo(r))
		}
		return c.printVisibleJSON(out)
	}
	if found.matched == 0 {
		return c.printNoDead(&l.deadSelect, streams, found)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	several := len(streams) > 1
	if several {
		fmt.Fprint(w, "STREAM\t")
	}
	fmt.Fprintln(w, "SEQ\tWHEN\tTASK\tPHASE\tCATEGORY\tATTEMPTS\tID\tREASON")
	cell := func(s string) string { return orNone(visible(s), "-") }
	for _, r := range found.newest {
		if several {
			fmt.Fprintf(w, "%s\t", r.Stream)
		}
		attempts := "-"
		if r.Letter.Attempts > 0 {
			attempts = strconv.Itoa(r.Letter.Attempts)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Sequence, r.When().UTC().Format(time.RFC3339),
			cell(r.Letter.Task), cell(r.Letter.Phase), cell(r.Letter.Category), attempts, cell(r.TransactionID), cell(r.Letter.Reason))
	}
	_ = w.Flush() // into memory
	table := b.String()
	if width := terminalWidth(c.Stdout); width > 0 {
		if width < strings.Index(table, "REASON")+shownReason {
			width *= 2 // what it is all about goes on in a second line
		}
		table = cutLines(table, width)
	}
	if err := c.printf("%s", table); err != nil {
		return err
	}
	if older > 0 {
		fmt.Fprintf(c.Stderr, "%s older not shown: --limit 0 shows all\n", thousands(int64(older)))
	}
	return nil
}

// printNoDead says why there is nothing to see: nothing failed, nothing matches,
// or this is the wrong place.
func (c *command) printNoDead(l *deadSelect, streams []string, found deadFound) error {
	switch {
	case len(found.missing) == len(streams):
		return c.printf("no dead letters: %s does not exist; the first run makes it\n", streamsLine(streams))
	case l.filter.IsZero():
		return c.printf("no dead letters in %s\n", streamsLine(streams))
	case l.filter.Since.IsZero():
		return c.printf("no dead letter matches, of %s in %s\n", thousands(int64(found.looked)), streamsLine(streams))
	}
	return c.printf("no dead letter in %s matches\n", streamsLine(streams))
}
