package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

// counts is what the streams say became of the demo's transactions.
type counts struct {
	published, dead, lost, duplicates int64
	named                             map[string]int64
}

// count reads the streams themselves, not the engine's counters. A transaction
// is lost when no output names it as its cause and no dead letter is it. Since
// each has one output, a second one is a duplicate.
func count(ctx context.Context, conn *app.Conn, cfg *config.Config, shown *app.Demo) (counts, error) {
	n := counts{named: make(map[string]int64)}
	ends := make(map[string]int) // of each transaction, by its ID
	for _, name := range cfg.TaskNames() {
		task := cfg.Tasks[name]
		for _, route := range task.Routes {
			to := route.JetStream
			err := jetstream.Scan(ctx, conn.Bus, to.Stream, []string{to.Subject}, func(tx jetstream.Stored) {
				if ends[tx.CausationID()]++; ends[tx.CausationID()] > 1 {
					n.duplicates++
				}
				for name, subject := range shown.Counts {
					if subject == to.Subject {
						n.named[name]++
					}
				}
			})
			if err != nil {
				return n, fmt.Errorf("count %q: %w", to.Subject, err)
			}
		}
		letters := task.DeadLetters
		err := jetstream.Scan(ctx, conn.Bus, letters.Stream, []string{letters.Subject + "." + name}, func(tx jetstream.Stored) {
			n.dead++
			ends[tx.ID()]++
		})
		if err != nil && !errors.Is(err, bus.ErrStreamGone) {
			return n, fmt.Errorf("count dead letters of %q: %w", name, err)
		}
		from := task.Source.JetStream
		err = jetstream.Scan(ctx, conn.Bus, from.Stream, []string{shown.Subject}, func(tx jetstream.Stored) {
			n.published++
			if ends[tx.ID()] == 0 {
				n.lost++
			}
		})
		if err != nil {
			return n, fmt.Errorf("count %q: %w", shown.Subject, err)
		}
	}
	return n, nil
}
