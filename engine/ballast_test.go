package engine_test

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/engine"
)

// goal is the size of the heap at which the collector will run.
func goal() uint64 {
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	return goal[0].Value.Uint64()
}

// The collector has room while a ballast is held, and where nobody has set it
// otherwise.
func TestBallast(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	const room = 64 << 20
	before := goal()
	require.Less(t, before, uint64(room), "these tests hold little")

	b := engine.NewBallast(1)
	one := goal()
	require.GreaterOrEqual(t, one, uint64(room))
	b.Release()
	require.Less(t, goal(), uint64(room))
	b = engine.NewBallast(101)
	require.GreaterOrEqual(t, goal(), one+2*100<<19-1<<20, "half a MiB more for each engine, and the heap may grow to twice of it")
	b.Release()

	debug.SetGCPercent(120)
	b = engine.NewBallast(1)
	require.Less(t, goal(), uint64(room), "GOGC was set")
	b.Release()

	debug.SetGCPercent(100)
	debug.SetMemoryLimit(1 << 30)
	b = engine.NewBallast(1)
	require.Less(t, goal(), uint64(room), "GOMEMLIMIT was set")
	b.Release()
}
