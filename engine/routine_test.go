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

// Routine spares the events of what does well, and none of what a failure consists of.
func TestRoutineSparesWhatDoesWell(t *testing.T) {
	failing := func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
		switch first := ergon.ExecutionOf(ctx).Attempt == 1; {
		case tx.ID() == "again" && first:
			return "", errors.New("not yet")
		case tx.ID() == "never":
			return "", ergon.Business("no")
		}
		return "x", nil
	}
	failures := []string{"again process 1: not yet", "never process 1: no"}
	for _, c := range []struct {
		name             string
		routine          func() bool
		fetched, started int
		attempts, ended  []string
	}{
		{"spared", func() bool { return false }, 0, 0, failures, []string{"never dead"}},
		{
			"wanted", func() bool { return true }, 1, 3,
			append([]string{
				"well process 1: ok", "well produce 1: ok", "again process 2: ok", "again produce 1: ok",
			}, failures...),
			[]string{"never dead", "well succeeded", "again succeeded"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(consume(failing))
				r.routine = c.routine
				r.push("well", "again", "never")
				report := r.run(t)
				require.EqualValues(t, 3, report.Started)
				require.EqualValues(t, 2, report.Succeeded)
				require.EqualValues(t, 1, report.Dead)

				require.Len(t, eventsOf[engine.Fetched](r), c.fetched)
				require.Len(t, eventsOf[engine.Started](r), c.started)
				var attempts, ended []string
				for _, ev := range eventsOf[engine.AttemptEnded](r) {
					how := "ok"
					if ev.Err != nil {
						how = ergonReason(ev.Err)
					}
					attempts = append(attempts, fmt.Sprintf("%s %s %d: %s", ev.Transaction.ID(), ev.Phase, ev.Attempt, how))
				}
				for _, ev := range eventsOf[engine.Finished](r) {
					ended = append(ended, fmt.Sprintf("%s %s", ev.Transaction.ID(), ev.Outcome))
					require.Equal(t, ev.Outcome == engine.Dead, ev.Err != nil)
				}
				require.ElementsMatch(t, c.attempts, attempts)
				require.ElementsMatch(t, c.ended, ended)
				retries := eventsOf[engine.RetryScheduled](r)
				require.Len(t, retries, 1)
				require.Equal(t, "again", retries[0].Transaction.ID())
				require.Len(t, eventsOf[engine.Ended](r), 1)
			})
		})
	}
}

func ergonReason(err error) string {
	if e, ok := errors.AsType[*ergon.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// What was given back is told of: it is no failure, and it did not do well.
func TestRoutineTellsOfWhatIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(ctx context.Context, _ ergon.Transaction[string]) (ergon.None, error) {
			<-ctx.Done()
			return ergon.None{}, ctx.Err()
		}))
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, 0
		r.routine = func() bool { return false }
		r.push("a")
		_, wait := r.start(t)
		synctest.Wait()
		report, err := wait(true)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Released)
		finished := eventsOf[engine.Finished](r)
		require.Len(t, finished, 1)
		require.Equal(t, engine.Released, finished[0].Outcome)
	})
}
