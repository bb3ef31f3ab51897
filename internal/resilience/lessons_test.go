package resilience_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/resilience"
	"github.com/ergon-framework/ergon/policy"
)

// A policy once left something behind in a parent that lives long, for each
// execution (failsafe-go#134). Many of them, each with a retry and a permit, leave
// nothing: docs/reference/lessons.md.
func TestLesson45NoGrowthOverManyExecutions(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	phase := resilience.Compile(policy.Phase{
		Retry:    policy.Retry{MaxAttempts: 2, BackoffMultiplier: 1},
		Bulkhead: policy.Bulkhead{MaxConcurrency: 1},
	}, nil)
	once := func() {
		require.NoError(t, phase.Enter(parent)) // a permit that got lost is missed at once
		phase.Leave(nil)
		end := phase.Retry(parent, &resilience.Run{
			First:   1,
			Attempt: func(context.Context, int) error { return nil },
		}, ergon.System("no"))
		require.NoError(t, end.Err)
		require.Equal(t, 2, end.Attempts)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 1000 {
		once()
	}
	const n = 200_000
	before := heap()
	for range n {
		once()
	}
	require.Less(t, int64(heap())-int64(before), int64(8*n), "not as much as a pointer for each")
}
