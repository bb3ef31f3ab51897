package cli

import (
	"bytes"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// dlqStats is one `ergon dlq stats`.
type dlqStats struct {
	deadSelect
	top int
}

func (c *command) dlqStatsCommand() *cobra.Command {
	s := &dlqStats{}
	cmd := &cobra.Command{
		Use:   "stats [TASK…]",
		Short: "Count dead letters by task, category, phase and reason",
		Long: "Count the dead letters of all tasks, or of those named: how many, how old, how large, and\n" +
			"how many of each task, category, phase and reason. Reasons that differ only in numbers, IDs\n" +
			"and quoted text are one, written with # and \"…\".",
		Example: "  ergon dlq stats\n" +
			"  ergon dlq stats score --since 1d --top 3\n" +
			"  ergon dlq stats --json | jq '.reasons[0]'",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeTasks,
		RunE: func(_ *cobra.Command, args []string) error {
			s.filter.Tasks = append(s.filter.Tasks, args...)
			return c.dlqStats(s)
		},
	}
	s.flags(c, cmd)
	cmd.Flags().IntVar(&s.top, "top", 10, "the `N` most frequent of each (0: all)")
	return cmd
}

// deadCounts is what `ergon dlq stats` found.
type deadCounts struct {
	Streams []string `json:"streams"` // those that exist
	Letters int      `json:"letters"`
	Looked  int      `json:"looked"` // at letters, whether they match or not
	Bytes   int64    `json:"bytes"`  // of payloads, as they are stored in the letters
	// Objects is how many letters have their payload in the object store.
	Objects int          `json:"objects"`
	Oldest  *letterInfo  `json:"oldest,omitempty"`
	Newest  *letterInfo  `json:"newest,omitempty"`
	Tasks   []tallied    `json:"tasks"`
	Cats    []tallied    `json:"categories"`
	Phases  []tallied    `json:"phases"`
	Reasons []reasonInfo `json:"reasons"`
	// Ungrouped is how many letters have a reason of a kind beyond the first 1,000.
	Ungrouped int `json:"ungrouped,omitempty"`

	oldest, newest bus.DeadRecord
}

// reasonInfo is a kind of reason, and the newest letter of that kind.
type reasonInfo struct {
	tallied
	Example string `json:"example"`
	Stream  string `json:"stream"`
	Seq     uint64 `json:"seq"`
}

func (c *command) dlqStats(s *dlqStats) error {
	if s.top < 0 {
		return usage("--top %d: it is 0 (all) or more", s.top)
	}
	if err := s.check(time.Now()); err != nil {
		return err
	}
	return c.withDead(&s.deadSelect, func(conn *app.Conn, _ *config.Config, streams []string) error {
		found, err := s.count(c, conn, streams)
		if err != nil {
			return err
		}
		if c.json {
			return c.printVisibleJSON(found)
		}
		if found.Letters == 0 {
			return c.printNoDead(&s.deadSelect, streams, deadFound{looked: found.Looked, missing: make([]string, len(streams)-len(found.Streams))})
		}
		return c.printf("%s", found.text())
	})
}

// count holds no letter but the newest of each kind of reason.
func (s *dlqStats) count(c *command, conn *app.Conn, streams []string) (*deadCounts, error) {
	found := &deadCounts{Streams: []string{}}
	var tasks, categories, phases, reasons tally
	examples := map[string]bus.DeadRecord{}
	for _, stream := range streams {
		looked, err := conn.ScanDeadLetters(c.stop.ctx, stream, s.filter, func(r bus.DeadRecord) error {
			r.Header = nil
			found.add(r)
			tasks.add(r.Letter.Task)
			categories.add(r.Letter.Category)
			phases.add(r.Letter.Phase)
			kind := reasonKind(r.Letter.Reason)
			if reasons.add(kind) && !r.When().Before(examples[kind].When()) {
				examples[kind] = r
			}
			return nil
		})
		if errors.Is(err, bus.ErrStreamGone) {
			if err := s.gone(stream); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		found.Looked += looked
		found.Streams = append(found.Streams, stream)
	}
	found.Tasks, found.Cats, found.Phases = tasks.top(s.top), categories.top(s.top), phases.top(s.top)
	found.Reasons, found.Ungrouped = []reasonInfo{}, reasons.others
	for _, t := range reasons.top(s.top) {
		r := examples[t.Name]
		found.Reasons = append(found.Reasons, reasonInfo{t, r.Letter.Reason, r.Stream, r.Sequence})
	}
	if found.Letters > 0 {
		oldest, newest := newLetterInfo(found.oldest), newLetterInfo(found.newest)
		found.Oldest, found.Newest = &oldest, &newest
	}
	return found, nil
}

func (f *deadCounts) add(r bus.DeadRecord) {
	f.Letters++
	f.Bytes += int64(r.Size)
	if r.Object != "" {
		f.Objects++
	}
	if f.Letters == 1 || r.When().Before(f.oldest.When()) {
		f.oldest = r
	}
	if f.Letters == 1 || !r.When().Before(f.newest.When()) {
		f.newest = r
	}
}

func (f *deadCounts) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s in %s, %s bytes of payload", letters(f.Letters), streamsLine(f.Streams), thousands(f.Bytes))
	if f.Objects > 0 {
		fmt.Fprintf(&b, ", and %s with theirs in the object store", thousands(int64(f.Objects)))
	}
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	edge := func(name string, r bus.DeadRecord) {
		fmt.Fprintf(w, "%s\t%s\t%s %d\n", name, r.When().UTC().Format(time.RFC3339), r.Stream, r.Sequence)
	}
	fmt.Fprint(w, "\n\n")
	edge("oldest", f.oldest)
	edge("newest", f.newest)
	_ = w.Flush() // into memory, as below
	for _, of := range []struct {
		name string
		all  []tallied
	}{{"TASK", f.Tasks}, {"CATEGORY", f.Cats}, {"PHASE", f.Phases}} {
		fmt.Fprintf(w, "\n%s\tLETTERS\n", of.name)
		for _, t := range of.all {
			fmt.Fprintf(w, "%s\t%s\n", orNone(visible(t.Name), "-"), thousands(int64(t.Count)))
		}
		_ = w.Flush()
	}
	fmt.Fprint(w, "\nLETTERS\tNEWEST\tREASON\n")
	for _, r := range f.Reasons {
		fmt.Fprintf(w, "%s\t%d\t%s\n", thousands(int64(r.Count)), r.Seq, orNone(visible(r.Name), "-"))
	}
	if f.Ungrouped > 0 {
		fmt.Fprintf(w, "%s\t-\tof more kinds than are counted apart\n", thousands(int64(f.Ungrouped)))
	}
	_ = w.Flush()
	return b.String()
}
