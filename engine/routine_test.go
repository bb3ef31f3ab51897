package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// Where nobody wants to hear what goes well, every failure is told all the same.
func TestRoutineSparesWhatGoesWell(t *testing.T) {
	for wanted, want := range map[bool][]string{
		false: {"attempt of later: not yet", "retry of later", "attempt of bad: BUSINESS: no", "bad is dead"},
		true: {
			"fetched 3",
			"started good", "attempt of good", "good is succeeded",
			"started later", "attempt of later: not yet", "retry of later", "attempt of later", "later is succeeded",
			"started bad", "attempt of bad: BUSINESS: no", "bad is dead",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(consume(func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
				switch {
				case tx.ID() == "bad":
					return ergon.None{}, ergon.Business("no")
				case tx.ID() == "later" && ergon.ExecutionOf(ctx).Attempt == 1:
					return ergon.None{}, errors.New("not yet")
				}
				return ergon.None{}, nil
			}))
			r.routine = func() bool { return wanted }
			r.push("good", "later", "bad")
			r.run(t)
			var got []string
			for _, ev := range r.events.all {
				switch ev := ev.(type) {
				case engine.Fetched:
					got = append(got, fmt.Sprintf("fetched %d", ev.Count))
				case engine.Started:
					got = append(got, "started "+ev.Transaction.ID())
				case engine.AttemptEnded:
					line := "attempt of " + ev.Transaction.ID()
					if ev.Err != nil {
						line += ": " + ev.Err.Error()
					}
					got = append(got, line)
				case engine.RetryScheduled:
					got = append(got, "retry of "+ev.Transaction.ID())
				case engine.Finished:
					got = append(got, fmt.Sprintf("%s is %s", ev.Transaction.ID(), ev.Outcome))
				}
			}
			require.ElementsMatch(t, want, got)
		})
	}
}
