package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/stretchr/testify/require"
)

// traces is a tracer that keeps what it is told.
type traces struct {
	sampled bool

	mu    sync.Mutex
	spans byte
	told  []engine.TraceRecord
}

func (t *traces) Begin(ergon.Raw, ergon.DeliveryInfo) engine.Tracing { return tracedBy{t} }

type tracedBy struct{ *traces }

func (t tracedBy) Trace() ergon.Trace           { return ergon.Trace{Parent: "told"} }
func (t tracedBy) Sampled() bool                { return t.sampled }
func (t tracedBy) Value(any, engine.SpanID) any { return nil }

func (t tracedBy) NewSpan() engine.SpanID {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans++
	return engine.SpanID{t.spans}
}

func (t tracedBy) End(r engine.TraceRecord) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, r)
}

// lines says of each record what it holds, with the times since the beginning.
func (t *traces) lines(began time.Time) []string {
	var lines []string
	for _, r := range t.told {
		lines = append(lines, fmt.Sprintf("%s %s", r.Transaction.ID(), r.Outcome))
		for _, a := range r.Attempts {
			line := fmt.Sprintf("%s %d: %v-%v", a.Phase, a.Attempt, a.Began.Sub(began), a.Ended.Sub(began))
			if a.Err != nil {
				line += " failed"
			}
			if a.Delay > 0 {
				line += fmt.Sprintf(", again after %v", a.Delay)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// stumbling takes a second for each attempt. "again" fails once in process; "bad" fails
// for good in its success hook.
func stumbling() engine.Task {
	return engine.Consume("score", &hooked[string, string]{
		process: func(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
			time.Sleep(time.Second)
			if tx.ID() == "again" && ergon.ExecutionOf(ctx).Attempt == 1 {
				return "", errors.New("not yet")
			}
			return "x", nil
		},
		success: func(_ context.Context, tx ergon.Transaction[string], _ string) error {
			if tx.ID() == "bad" {
				return ergon.Business("no")
			}
			return nil
		},
	})
}

// R031, R102: what is sampled is told of in full.
func TestSampledIsToldInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := &traces{sampled: true}
		r := newRig(stumbling())
		r.tracer, r.sinkO.Delay = tracer, 2*time.Second
		r.push("again")
		began := time.Now()
		r.run(t)
		require.Equal(t, []string{
			"again succeeded",
			"process 1: 0s-1s failed, again after 100ms",
			"process 2: 1.1s-2.1s",
			"produce 1: 2.1s-4.1s",
			"success 1: 4.1s-4.1s",
		}, tracer.lines(began))
		require.Equal(t, "told", r.sink.All()[0].Trace().Parent)
		spans := map[engine.SpanID]bool{}
		for _, a := range tracer.told[0].Attempts {
			spans[a.Span] = true
		}
		require.Len(t, spans, 4, "each attempt has a span of its own")
		require.Equal(t, 1, tracer.told[0].Fetch.Count)
	})
}

// R031: what fails for good is told of in full though it is sampled out, and nothing
// else is.
func TestFailureIsToldThoughSampledOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := &traces{}
		r := newRig(stumbling())
		r.tracer, r.sinkO.Delay = tracer, 2*time.Second
		r.push("good", "again", "bad")
		began := time.Now()
		r.run(t)
		require.Equal(t, []string{
			"bad dead",
			"process 1: 0s-1s",
			"produce 1: 1s-3s",
			"success 1: 3s-3s failed",
			"exception 1: 3s-3s",
		}, tracer.lines(began))
		require.Equal(t, ergon.PhaseSuccess, tracer.told[0].Err.Phase)
	})
}

// What was parked goes on with the number of its next attempt, in its trace too.
func TestParkedIsToldWithItsAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := &traces{}
		r := newRig(engine.Consume("score", &hooked[string, string]{
			process: func(ctx context.Context, _ ergon.Transaction[string]) (string, error) {
				if ergon.ExecutionOf(ctx).Attempt == 1 {
					return "", ergon.System("not within the hour")
				}
				return "x", nil
			},
			success: func(context.Context, ergon.Transaction[string], string) error { return ergon.Business("no") },
		}))
		r.tracer, r.queueO.CanDefer = tracer, true
		r.policy.Process.Retry.Backoff, r.policy.Process.Retry.BackoffCap = dur(time.Hour), dur(time.Hour)
		r.push("parked")
		began := time.Now()
		require.EqualValues(t, 1, r.run(t).Deferred)
		require.Equal(t, []string{
			"parked dead",
			"process 2: 1h0m0s-1h0m0s", "produce 1: 1h0m0s-1h0m0s", "success 1: 1h0m0s-1h0m0s failed", "exception 1: 1h0m0s-1h0m0s",
		}, tracer.lines(began))
	})
}
