package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// The live line sums tasks, and tells of what waits only once a source has looked.
func TestRunLine(t *testing.T) {
	a := engine.Snapshot{Report: engine.Report{Succeeded: 1200, Dead: 1}, Held: 3, P50: time.Millisecond, P99: 2 * time.Millisecond}
	b := engine.Snapshot{Report: engine.Report{Succeeded: 1}, P50: 2 * time.Millisecond}
	require.Equal(t, "1,201 succeeded   1 dead   3 in flight   p50 2ms   p99 2ms", runLine([]engine.Snapshot{a, b}))
	a.Lag = ergon.Lag{Pending: 5, Parked: 10000, At: time.Unix(1, 0)}
	b.Lag = ergon.Lag{Pending: 2, At: time.Unix(2, 0)}
	require.Equal(t, "1,201 succeeded   1 dead   3 in flight   p50 2ms   p99 2ms   7 pending   10,000 parked",
		runLine([]engine.Snapshot{a, b}))
}
