package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// What a dead letter may have failed with, and in.
var (
	deadCategories = []ergon.Category{ergon.CategoryBusiness, ergon.CategorySystem, ergon.CategoryTimeout}
	deadPhases     = []ergon.Phase{ergon.PhaseFetch, ergon.PhaseDecode, ergon.PhaseProcess, ergon.PhaseProduce, ergon.PhaseSuccess, ergon.PhaseException, ergon.PhaseSettle}
)

// deadSelect is which dead letters a command means.
type deadSelect struct {
	filter        bus.DeadFilter
	stream        string
	since, before string
	strict        bool // the stream is one that the configuration does not have
}

// gone is what to say of a stream that does not exist: nothing where the first run makes
// it, for it has no letters, and an error where nobody will.
func (s *deadSelect) gone(stream string) error {
	if s.strict {
		return fmt.Errorf("--stream %s: there is no such stream", stream)
	}
	return nil
}

func (s *deadSelect) flags(c *command, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&s.filter.Tasks, "task", nil, "only of `TASK`")
	flags.StringSliceVar(&s.filter.Categories, "category", nil, "only `BUSINESS`, SYSTEM or TIMEOUT")
	flags.StringSliceVar(&s.filter.Phases, "phase", nil, "only what failed in `PHASE`: decode, process, produce, …")
	flags.StringVar(&s.filter.Reason, "reason", "", "only with `TEXT` in the reason, in any case")
	flags.StringVar(&s.filter.Subject, "subject", "", "only what was published to `SUBJECT`, which may have wildcards")
	flags.StringVar(&s.since, "since", "", "only what failed in the last `TIME` (90s, 1h, 7d), or since a date or RFC 3339 time")
	flags.StringVar(&s.before, "before", "", "only what failed longer than `TIME` ago, or before a date or RFC 3339 time")
	flags.StringVar(&s.stream, "stream", "", "look into the stream `NAME` (default: those of the configuration)")
	_ = cmd.RegisterFlagCompletionFunc("task", c.completeTasks) // it fails only for a flag that is not there, or twice
	fixed(cmd, "category", words(deadCategories)...)
	fixed(cmd, "phase", words(deadPhases)...)
}

// check makes the flags into a filter.
func (s *deadSelect) check(now time.Time) (err error) {
	if err := known("--category", s.filter.Categories, deadCategories); err != nil {
		return err
	}
	if err := known("--phase", s.filter.Phases, deadPhases); err != nil {
		return err
	}
	if s.filter.Since, err = parseTime("--since", s.since, now); err != nil {
		return err
	}
	if s.filter.Before, err = parseTime("--before", s.before, now); err != nil {
		return err
	}
	if f := s.filter; !f.Since.IsZero() && !f.Before.IsZero() && !f.Since.Before(f.Before) {
		return usage("--since %s is not before --before %s: nothing can match", s.since, s.before)
	}
	return nil
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

// parseTime reads how long ago, or when.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
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
	return time.Time{}, usage("%s %q: it is a time ago such as 90s, 1h or 7d, a date or an RFC 3339 time", flag, s)
}
