package cli

import (
	"bytes"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

func (c *command) dlqPurgeCommand() *cobra.Command {
	p := &deadPick{}
	cmd := &cobra.Command{
		Use:   "purge [SEQ…]",
		Short: "Delete dead letters for good",
		Long: "Delete dead letters, with their payloads, for good. It always asks, or wants --yes where\n" +
			"nobody can be asked. What is deleted is what was there when it asked, not what came since.\n" +
			"A signal ends it between two letters.",
		Example: "  ergon dlq purge 17\n" +
			"  ergon dlq purge --task score --before 30d --dry-run\n" +
			"  ergon dlq purge --category BUSINESS --reason 'not positive' --yes\n" +
			"  ergon dlq purge --all",
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := p.parse(args, time.Now()); err != nil {
				return err
			}
			return c.dlqPurge(p)
		},
	}
	p.flags(c, cmd, "delete")
	return cmd
}

func (c *command) dlqPurge(p *deadPick) error {
	return c.withDead(&p.deadSelect, func(conn *app.Conn, _ *config.Config, streams []string) error {
		if p.dryRun {
			return c.purgePlan(p, conn, streams)
		}
		if err := p.pick(c.stop.ctx, conn, streams, func(bus.DeadRecord) error { return nil }); err != nil {
			return err
		}
		if p.count == 0 && !c.json {
			return c.printNoDead(&p.deadSelect, streams, p.none)
		}
		w := &deadWork{verb: "deleted", picked: p.count, pace: newPacer(0), began: time.Now()}
		if p.count == 0 {
			return c.ended(w, nil)
		}
		if err := c.confirm(p, "delete "+p.String()+" for good"); err != nil {
			return err
		}
		if err := removable(c.stop.ctx, conn, p.streams); err != nil {
			return err
		}
		return c.ended(w, c.work(conn, p, w, conn.RemoveDeadLetter))
	})
}

func (c *command) purgePlan(p *deadPick, conn *app.Conn, streams []string) error {
	shown := []letterInfo{}
	if err := p.pick(c.stop.ctx, conn, streams, func(r bus.DeadRecord) error {
		if c.json || len(shown) < shownPlans {
			shown = append(shown, newLetterInfo(r))
		}
		return nil
	}); err != nil {
		return err
	}
	if c.json {
		return c.printVisibleJSON(struct {
			DryRun  bool         `json:"dry_run"`
			Picked  int          `json:"picked"`
			Letters []letterInfo `json:"letters"`
		}{true, p.count, shown})
	}
	if p.count == 0 {
		return c.printNoDead(&p.deadSelect, streams, p.none)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tSEQ\tTASK\tID\tREASON")
	for _, l := range shown {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", l.Stream, l.Seq, orNone(visible(l.Task), "-"), orNone(visible(l.ID), "-"), visible(l.Reason))
	}
	_ = w.Flush() // into memory
	if more := p.count - len(shown); more > 0 {
		fmt.Fprintf(&b, "… and %s more\n", thousands(int64(more)))
	}
	fmt.Fprintf(&b, "%s would be deleted; nothing was changed\n", letters(p.count))
	return c.printf("%s", b.String())
}
