package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// shownPlans is how many letters a dry run shows one by one.
const shownPlans = 100

// dlqRequeue is one `ergon dlq requeue`.
type dlqRequeue struct {
	deadPick
	to   string
	rate float64
}

func (c *command) dlqRequeueCommand() *cobra.Command {
	q := &dlqRequeue{}
	cmd := &cobra.Command{
		Use:   "requeue [SEQ…]",
		Short: "Put dead letters back where they came from, to be run again",
		Long: "Put the messages of dead letters back on the subjects that they had, with their bytes and\n" +
			"their headers, so that the task that failed runs them again. A dead letter is removed once\n" +
			"a stream has stored its message, and not before: what breaks off in between leaves both,\n" +
			"and the same command again stores no copy within the stream's duplicate window.\n\n" +
			"Each is the transaction that it was, with its attempts counted from 1: its outputs get the\n" +
			"same IDs, so within their streams' windows what was sent before is not stored again. Every\n" +
			"consumer of a subject gets what is put back there, not only the task that failed.\n\n" +
			"A letter that can't be put back, for no stream takes its subject any more, stays, and the\n" +
			"exit code is 1. A signal ends it between two letters.",
		Example: "  ergon dlq requeue 17 18\n" +
			"  ergon dlq requeue --task score --category SYSTEM --since 1h --dry-run\n" +
			"  ergon dlq requeue --reason 'connection refused' --rate 50 --yes\n" +
			"  ergon dlq requeue --all --limit 100",
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := q.parse(args, time.Now()); err != nil {
				return err
			}
			return c.dlqRequeue(q)
		},
	}
	q.flags(c, cmd, "put back")
	cmd.Flags().Float64Var(&q.rate, "rate", 0, "`N` letters per second (0: as fast as it goes)")
	cmd.Flags().StringVar(&q.to, "to", "", "send all to `SUBJECT` instead")
	return cmd
}

func (c *command) dlqRequeue(q *dlqRequeue) error {
	if q.rate < 0 {
		return usage("--rate %v: it is 0 (as fast as it goes) or more", q.rate)
	}
	if q.to != "" {
		if err := bus.CheckSubject(q.to); err != nil {
			return usage("--to: %w", err)
		}
	}
	return c.withDead(&q.deadSelect, func(conn *app.Conn, _ *config.Config, streams []string) (err error) {
		pub, err := conn.NewPublisher(bus.PublisherConfig{})
		if err != nil {
			return err
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(c.stop.ctx), closeWithin)
			defer cancel()
			err = errors.Join(err, pub.Close(closing))
		}()
		requeuer := conn.NewRequeuer(pub, q.to)
		if q.dryRun {
			return c.requeuePlan(q, conn, requeuer, streams)
		}
		if err := q.pick(c.stop.ctx, conn, streams, func(bus.DeadRecord) error { return nil }); err != nil {
			return err
		}
		if q.count == 0 && !c.json {
			return c.printNoDead(&q.deadSelect, streams, q.none)
		}
		w := &deadWork{verb: "put back", picked: q.count, pace: newPacer(q.rate), began: time.Now()}
		if q.count == 0 {
			return c.ended(w, nil)
		}
		if len(q.seqs) == 0 || c.canAsk() {
			if err := c.confirm(&q.deadPick, "put back "+q.String()); err != nil {
				return err
			}
		}
		if err := removable(c.stop.ctx, conn, q.streams); err != nil {
			return err
		}
		err = c.work(conn, &q.deadPick, w, func(ctx context.Context, stream string, seq uint64) error {
			back, err := requeuer.Requeue(ctx, stream, seq)
			if back.Duplicate {
				w.duplicates.Add(1)
			}
			return err
		})
		return c.ended(w, err)
	})
}

// removable finds out before anything is done that letters could not be removed.
func removable(ctx context.Context, conn *app.Conn, streams []pickedDead) error {
	for _, of := range streams {
		if err := conn.CheckRemovable(ctx, of.stream); err != nil {
			return err
		}
	}
	return nil
}

// planInfo is a letter of a dry run in JSON.
type planInfo struct {
	letterInfo
	To     string `json:"to,omitempty"`
	Into   string `json:"into,omitempty"` // the stream that takes it
	Number int    `json:"requeue_number"`
	Stays  string `json:"stays,omitempty"`
}

// requeuePlan says what would be done. Whether a payload can be read is found out by
// doing it.
func (c *command) requeuePlan(q *dlqRequeue, conn *app.Conn, requeuer *bus.Requeuer, streams []string) error {
	plans, stays := []planInfo{}, 0
	err := q.pick(c.stop.ctx, conn, streams, func(r bus.DeadRecord) error {
		back, err := requeuer.Plan(c.stop.ctx, r)
		switch {
		case errors.Is(err, bus.ErrNotRequeuable):
			stays++
		case err != nil:
			return err
		}
		if c.json || len(plans) < shownPlans {
			plan := planInfo{letterInfo: newLetterInfo(r), To: back.Subject, Into: back.Stream, Number: r.Letter.Requeue + 1}
			if err != nil {
				plan.Stays = err.Error()
			}
			plans = append(plans, plan)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.json {
		return c.printVisibleJSON(struct {
			DryRun  bool       `json:"dry_run"`
			Picked  int        `json:"picked"`
			Stays   int        `json:"stays"`
			Letters []planInfo `json:"letters"`
		}{true, q.count, stays, plans})
	}
	if q.count == 0 {
		return c.printNoDead(&q.deadSelect, streams, q.none)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "STREAM\tSEQ\tTASK\tID\tREQUEUE\tTO")
	for _, p := range plans {
		to := visible(p.To) + " (" + visible(p.Into) + ")"
		if p.Stays != "" {
			to = visible(p.Stays)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t%s\n", p.Stream, p.Seq, orNone(visible(p.Task), "-"), orNone(visible(p.ID), "-"), p.Number, to)
	}
	_ = w.Flush() // into memory
	if more := q.count - len(plans); more > 0 {
		fmt.Fprintf(&b, "… and %s more\n", thousands(int64(more)))
	}
	fmt.Fprintf(&b, "%s would be put back", letters(q.count-stays))
	if stays > 0 {
		fmt.Fprintf(&b, ", %s would stay", thousands(int64(stays)))
	}
	b.WriteString("; nothing was changed\n")
	return c.printf("%s", b.String())
}
