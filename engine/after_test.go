package engine

import (
	"testing"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
	"github.com/stretchr/testify/require"
)

// The rules of settlement, stated again and independently of the table's form: a
// sentence for each cell. A cell that no rule names must be empty.
func TestAfterFollowsTheRules(t *testing.T) {
	type cell struct {
		step step
		how  ending
	}
	rules := map[cell]follow{
		// Outputs are confirmed before the success hook runs, and that before the ack.
		{stepProcess, endOK}: thenProduce,
		{stepProduce, endOK}: thenSuccess,
		{stepSuccess, endOK}: thenAck,
		// What failed for good goes to the exception hook (R092, R093, R116), once:
		{stepProcess, endFailed}: thenException,
		{stepProduce, endFailed}: thenException,
		{stepSuccess, endFailed}: thenException,
		// after it comes the dead letter, whatever the hook did (R094).
		{stepException, endOK}:     thenDead,
		{stepException, endFailed}: thenDead,
		// Only what sent nothing may be parked.
		{stepProcess, endDeferred}: thenRetryLater,
		// A stop gives back, uncounted; a lost lease settles nothing. At any step.
		{stepProcess, endCut}: thenRelease, {stepProcess, endLost}: thenDrop,
		{stepProduce, endCut}: thenRelease, {stepProduce, endLost}: thenDrop,
		{stepSuccess, endCut}: thenRelease, {stepSuccess, endLost}: thenDrop,
		{stepException, endCut}: thenRelease, {stepException, endLost}: thenDrop,
	}
	require.Len(t, after, int(stepException)+1, "every step that can end has a row")
	for s := stepStart; s <= stepException; s++ {
		for how := endOK; how < endings; how++ {
			require.Equal(t, rules[cell{s, how}], after[s][how], "step %d (%s), ending %d", s, s.phase(), how)
		}
	}

	// The table as a graph, from process on: what can be reached from where.
	next := map[follow]step{thenProduce: stepProduce, thenSuccess: stepSuccess, thenException: stepException}
	var reach func(s step, seen map[follow]bool) map[follow]bool
	reach = func(s step, seen map[follow]bool) map[follow]bool {
		for _, f := range after[s] {
			if f != 0 && !seen[f] {
				seen[f] = true
				if to, ok := next[f]; ok {
					reach(to, seen)
				}
			}
		}
		return seen
	}
	require.NotContains(t, reach(stepException, map[follow]bool{}), thenSuccess, "the success hook never follows the exception hook")
	require.NotContains(t, reach(stepException, map[follow]bool{}), thenAck)
	require.NotContains(t, reach(stepException, map[follow]bool{}), thenException, "the exception hook runs once")
	require.NotContains(t, reach(stepProduce, map[follow]bool{}), thenRetryLater, "what sent something is not parked")
	for s := stepProcess; s < stepSuccess; s++ {
		for _, f := range after[s] {
			require.NotEqual(t, thenAck, f, "only what succeeded as a whole is acknowledged")
		}
	}
}

// Events cost nothing when nobody listens.
func TestEventsAllocateNothingUnobserved(t *testing.T) {
	e := &Engine{task: Task{name: "score"}}
	e.phases[stepProcess] = resilience.Compile(policy.DefaultConsumer().Process, nil)
	f := &flight{e: e, step: stepProcess, raw: ergon.New([]byte("x")), began: time.Now()}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		e.begun(f)
		e.attemptEnded(f, time.Millisecond, nil)
		e.retryScheduled(f, 1, nil, time.Millisecond)
		e.finished(f, Succeeded)
	}))
}
