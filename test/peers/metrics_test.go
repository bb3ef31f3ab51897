package peers

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the counters say at the end is what the streams hold.
func TestCountersAreWhatTheStreamsHold(t *testing.T) {
	c, w := startCollector(t), newWorld(t)
	w.both(t, c.env())

	s := c.series(t)
	for _, want := range []struct {
		n     int
		name  string
		pairs []string
	}{
		{mixedScored + mixedCancelled, "ergon.transactions", []string{"ergon.task=score", "ergon.outcome=succeeded"}},
		{mixedBad, "ergon.transactions", []string{"ergon.task=score", "ergon.outcome=dead", "error.type=BUSINESS"}},
		{len(mixed()), "ergon.transactions", []string{"ergon.task=score"}},
		{len(mixed()), "ergon.transactions.started", []string{"ergon.task=score"}},
		{len(mixed()), "ergon.transaction.duration", []string{"ergon.task=score"}},
		{mixedScored + mixedCancelled, "ergon.outputs", []string{"ergon.task=score"}},
		{mixedBad, "ergon.dead_letters", []string{"ergon.task=score", "ergon.phase=process", "error.type=BUSINESS"}},
		{mixedBad, "ergon.dead_letters", []string{"ergon.task=score"}},
		{mixedBooked, "ergon.transactions", []string{"ergon.task=book", "ergon.outcome=succeeded"}},
		{mixedNotBooked, "ergon.transactions", []string{"ergon.task=book", "ergon.outcome=dead"}},
		{mixedBooked, "ergon.outputs", []string{"ergon.task=book"}},
		{mixedNotBooked, "ergon.dead_letters", []string{"ergon.task=book"}},
		{2 * mixedFlaky, "ergon.retries", []string{"ergon.task=book", "ergon.phase=process"}},
		{2 * mixedFlaky, "ergon.attempts", []string{"ergon.task=book", "ergon.phase=process", "error.type=SYSTEM"}},
		{mixedScored + 2*mixedFlaky, "ergon.attempts", []string{"ergon.task=book", "ergon.phase=process"}},
		{0, "ergon.leases.lost", nil},
	} {
		require.InDelta(t, want.n, sum(s, want.name, want.pairs...), 0, "%s %v of %v", want.name, want.pairs, s)
	}
	require.Equal(t, mixedScored, w.count(t, "RETAIL_OUT", "retail.scored"))
	require.Equal(t, mixedCancelled, w.count(t, "RETAIL_OUT", "retail.cancelled"))
	require.Len(t, w.dead(t, "score"), mixedBad)
	require.Len(t, w.dead(t, "book"), mixedNotBooked)
}
