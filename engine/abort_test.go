package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// promptly is what an aborted stop may take.
const promptly = time.Second

// An abort does not wait for code that ignores its context, whenever it comes: in the
// grace, after it, or before the stop. What did not end is abandoned and comes back.
func TestAbortIsPrompt(t *testing.T) {
	for name, after := range map[string]time.Duration{"in the grace": 2 * time.Second, "past it": 12 * time.Second, "before the stop": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free := make(chan struct{})
				r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) {
					<-free
					return "x", nil
				}))
				r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(10*time.Second)
				r.push("a", "b")
				e, wait := r.start(t)
				time.Sleep(time.Second)
				began := time.Now()
				if after == 0 {
					e.Abort()
				} else {
					time.AfterFunc(after, e.Abort)
				}
				report, err := wait(true)
				require.NoError(t, err)
				require.Less(t, time.Since(began), after+promptly)
				require.GreaterOrEqual(t, time.Since(began), after)
				require.EqualValues(t, 2, report.Abandoned)
				require.Equal(t, 2, r.queue.Counts().Len())
				require.Equal(t, []string{"a", "b"}, eventsOf[engine.Ended](r)[0].Abandoned)
				close(free)
			})
		})
	}
}

// speechless is a sink that confirms nothing and does not close before its context ends.
type speechless struct{}

func (speechless) Send(context.Context, ergon.Raw, func(error)) {}
func (speechless) Close(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Nor for a sink that confirms nothing and does not close.
func TestAbortOfASilentSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(context.Context, ergon.Transaction[string]) (string, error) { return "x", nil }))
		r.policy.Loop.Streaming, r.policy.Shutdown.Grace = true, dur(10*time.Second)
		r.routes = speechless{}
		r.push("a")
		e, wait := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()
		time.AfterFunc(time.Second, e.Abort)
		report, err := wait(true)
		require.ErrorContains(t, err, `task "score": close sink of route "out"`)
		require.Less(t, time.Since(began), time.Second+promptly)
		require.EqualValues(t, 1, report.Released+report.Abandoned)
	})
}
