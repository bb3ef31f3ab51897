package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// deadPick is which dead letters a command changes, and how it asks first.
type deadPick struct {
	deadSelect
	seqs   []uint64
	all    bool
	limit  int
	yes    bool
	dryRun bool
	// program is what this one is called.
	program string

	streams []pickedDead
	count   int
	tasks   tally
	none    deadFound // what to say where nothing was picked
}

// pickedDead is what was picked of one stream. It holds numbers and not letters: there
// may be millions.
type pickedDead struct {
	stream  string
	seqs    []uint64
	objects []string
}

func (p *deadPick) flags(c *command, cmd *cobra.Command, does string) {
	p.deadSelect.flags(c, cmd)
	p.program = c.program()
	flags := cmd.Flags()
	flags.BoolVar(&p.all, "all", false, does+" every dead letter")
	flags.IntVar(&p.limit, "limit", 0, "at most the oldest `N` (0: all that match)")
	flags.BoolVar(&p.dryRun, "dry-run", false, "change nothing, and print what would be done")
	flags.BoolVarP(&p.yes, "yes", "y", false, "don't ask")
}

// parse reads the arguments. What is not said plainly is refused: an empty variable in
// a script must not mean everything.
func (p *deadPick) parse(args []string, now time.Time) error {
	for _, a := range args {
		seq, err := strconv.ParseUint(a, 10, 64)
		if err != nil || seq == 0 {
			return usage("%q is not the number of a dead letter: %s dlq ls shows them", a, p.program)
		}
		if !slices.Contains(p.seqs, seq) {
			p.seqs = append(p.seqs, seq)
		}
	}
	if err := p.deadSelect.check(now); err != nil {
		return err
	}
	switch filtered := !p.filter.IsZero(); {
	case p.limit < 0:
		return usage("--limit %d: it is 0 (all) or more", p.limit)
	case len(p.seqs) > 0 && (filtered || p.all || p.limit > 0):
		return usage("name dead letters by their numbers or by what they have in common, not both")
	case p.all && filtered:
		return usage("--all is every dead letter: not with a filter")
	case len(p.seqs) == 0 && !filtered && !p.all:
		return usage("name dead letters by their numbers, with a filter such as --task, or with --all")
	}
	return nil
}

// withDead loads the configuration, opens the bus, and has the streams used that a
// selection is about.
func (c *command) withDead(s *deadSelect, use func(conn *app.Conn, cfg *config.Config, streams []string) error) error {
	log, err := c.logger(slog.LevelWarn)
	if err != nil {
		return err
	}
	cfg, _, err := c.load(false)
	if err != nil {
		return err
	}
	streams, err := deadStreams(cfg, s.stream, s.filter.Tasks)
	if err != nil {
		return err
	}
	s.strict = s.stream != "" && !slices.ContainsFunc(cfg.DeadLetterStreams(), func(d bus.Stream) bool { return d.Name == s.stream })
	return c.withBus(cfg.Bus, log, func(conn *app.Conn) error { return use(conn, cfg, streams) })
}

// pick finds the letters that are meant, the oldest of each stream first, and shows
// each. A stream that does not exist has none.
func (p *deadPick) pick(ctx context.Context, conn *app.Conn, streams []string, each func(bus.DeadRecord) error) error {
	if len(p.seqs) > 0 {
		return p.pickNumbers(ctx, conn, streams, each)
	}
	enough := errors.New("enough")
	for _, stream := range streams {
		var of pickedDead
		looked, err := conn.ScanDeadLetters(ctx, stream, p.filter, func(r bus.DeadRecord) error {
			if p.limit > 0 && p.count >= p.limit {
				return enough
			}
			return p.add(&of, r, each)
		})
		p.none.looked += looked
		switch {
		case errors.Is(err, bus.ErrStreamGone):
			if err := p.gone(stream); err != nil {
				return err
			}
			p.none.missing = append(p.none.missing, stream)
		case err != nil && !errors.Is(err, enough):
			return err
		}
		if of.stream = stream; len(of.seqs) > 0 {
			p.streams = append(p.streams, of)
		}
	}
	return nil
}

func (p *deadPick) add(of *pickedDead, r bus.DeadRecord, each func(bus.DeadRecord) error) error {
	p.count++
	p.tasks.add(r.Letter.Task)
	of.seqs = append(of.seqs, r.Sequence)
	if r.Object != "" {
		of.objects = append(of.objects, r.Object)
	}
	return each(r)
}

func (p *deadPick) pickNumbers(ctx context.Context, conn *app.Conn, streams []string, each func(bus.DeadRecord) error) error {
	picked := make([]pickedDead, len(streams))
	for _, seq := range p.seqs {
		var found []bus.DeadRecord
		at := 0
		for i, stream := range streams {
			r, err := conn.DeadLetterAt(ctx, stream, seq)
			if err == nil {
				at, found = i, append(found, r)
			} else if !errors.Is(err, bus.ErrNoDeadLetter) && !errors.Is(err, bus.ErrStreamGone) {
				return err
			}
		}
		switch len(found) {
		case 0:
			return fmt.Errorf("dead letter %d: there is none with this number in %s, so nothing was changed (%s dlq ls lists them)", seq, streamsLine(streams), p.program)
		case 1:
			picked[at].stream = streams[at]
			if err := p.add(&picked[at], found[0], each); err != nil {
				return err
			}
		default:
			return usage("%d is a dead letter in each of %s: name one with --stream", seq, streamsLine(streamsOf(found)))
		}
	}
	p.streams = slices.DeleteFunc(picked, func(of pickedDead) bool { return len(of.seqs) == 0 })
	return nil
}

// String names what was picked: "12 dead letters of ERGON_DLQ (score 10, notify 2)".
func (p *deadPick) String() string {
	var names, of []string
	for _, s := range p.streams {
		names = append(names, s.stream)
	}
	for i, t := range p.tasks.top(0) {
		if i == 5 {
			of = append(of, "…")
			break
		}
		of = append(of, orNone(visible(t.Name), "no task")+" "+thousands(int64(t.Count)))
	}
	return fmt.Sprintf("%s of %s (%s)", letters(p.count), streamsLine(names), strings.Join(of, ", "))
}

// letters is "1 dead letter" or "12 dead letters".
func letters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return thousands(int64(n)) + " dead letters"
}
