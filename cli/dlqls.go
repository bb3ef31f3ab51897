package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
)

// shownReason is how much of a reason there must be room for in a terminal's line.
const shownReason = 24

// dlqList is one `ergon dlq ls`.
type dlqList struct {
	filter bus.DeadFilter
	stream string
	since  string
	limit  int
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
	flags := cmd.Flags()
	flags.StringSliceVar(&l.filter.Tasks, "task", nil, "only of `TASK`, as if it were an argument")
	flags.StringSliceVar(&l.filter.Categories, "category", nil, "only `BUSINESS`, SYSTEM or TIMEOUT")
	flags.StringSliceVar(&l.filter.Phases, "phase", nil, "only what failed in `PHASE`: decode, process, produce, …")
	flags.StringVar(&l.filter.Reason, "reason", "", "only with `TEXT` in the reason, in any case")
	flags.StringVar(&l.filter.Subject, "subject", "", "only what was published to `SUBJECT`, which may have wildcards")
	flags.StringVar(&l.since, "since", "", "only what failed in the last `TIME` (90s, 1h, 7d), or since a date or RFC 3339 time")
	flags.IntVar(&l.limit, "limit", 100, "the newest `N` (0: all)")
	flags.StringVar(&l.stream, "stream", "", "look into the stream `NAME` (default: those of the configuration)")
	return cmd
}

// check makes the flags into a filter.
func (l *dlqList) check(now time.Time) error {
	if l.limit < 0 {
		return usage("--limit %d: it is 0 (all) or more", l.limit)
	}
	categories := []ergon.Category{ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}
	if err := known("--category", l.filter.Categories, categories); err != nil {
		return err
	}
	phases := []ergon.Phase{ergon.PhaseFetch, ergon.PhaseDecode, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess, ergon.PhaseException, ergon.PhaseSettle}
	if err := known("--phase", l.filter.Phases, phases); err != nil {
		return err
	}
	var err error
	l.filter.Since, err = parseSince(l.since, now)
	return err
}

// known refuses a misspelt value, which would find nothing, as if all were well.
func known[T ~string](flag string, given []string, all []T) error {
	for _, g := range given {
		if !slices.ContainsFunc(all, func(v T) bool { return strings.EqualFold(string(v), g) }) {
			return usage("%s %q: it is one of %v", flag, g, all)
		}
	}
	return nil
}

// parseSince reads how long ago, or when.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ago, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		ago = time.Duration(n) * 24 * time.Hour
	}
	if err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--since %q: it is a time ago such as 90s, 1h or 7d, a date or an RFC 3339 time", s)
}

func (c *command) dlqLs(l *dlqList) error {
	if err := l.check(time.Now()); err != nil {
		return err
	}
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	streams, err := deadStreams(cfg, l.stream, l.filter.Tasks)
	if err != nil {
		return err
	}
	return c.withBus(cfg.Bus, log, func(conn *app.Conn) error {
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
		return c.printNoDead(l, streams, found)
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
func (c *command) printNoDead(l *dlqList, streams []string, found deadFound) error {
	switch {
	case len(found.missing) == len(streams) && l.stream != "":
		return c.printf("no dead letters: there is no stream %s\n", l.stream)
	case len(found.missing) == len(streams):
		return c.printf("no dead letters: %s does not exist; the first run makes it\n", streamsLine(streams))
	case l.filter.IsZero():
		return c.printf("no dead letters in %s\n", streamsLine(streams))
	case l.filter.Since.IsZero():
		return c.printf("no dead letter matches, of %s in %s\n", thousands(int64(found.looked)), streamsLine(streams))
	}
	return c.printf("no dead letter in %s matches\n", streamsLine(streams))
}
