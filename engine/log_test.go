package engine_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
)

// Each event is a line at its level, names its task and transaction, and shows no
// payload.
func TestLogEvents(t *testing.T) {
	tx := ergon.Make(ergon.Envelope{ID: "tx-1", Source: "src"}, []byte("SECRET"))
	failure := &ergon.Error{Category: ergon.CategorySystem, Phase: ergon.PhaseProcess, Attempt: 3, Err: errors.New("no route")}
	for _, c := range []struct {
		event engine.Event
		want  []string
	}{
		{engine.Fetched{Task: "t", Count: 3}, []string{"level=DEBUG", "count=3"}},
		{engine.FetchFailed{Task: "t", Err: failure, Delay: time.Second}, []string{"level=WARN", "delay=1s"}},
		{engine.FetchFailed{Task: "t", Err: failure, Final: true}, []string{"level=ERROR", "the loop ends"}},
		{engine.Started{Task: "t", Transaction: tx}, []string{"level=DEBUG", "transaction=tx-1"}},
		{engine.AttemptEnded{Task: "t", Transaction: tx, Phase: ergon.PhaseProcess, Attempt: 1}, []string{"level=DEBUG", "attempt done"}},
		{engine.AttemptEnded{Task: "t", Transaction: tx, Err: failure}, []string{"level=DEBUG", "attempt failed", "no route"}},
		{
			engine.RetryScheduled{Task: "t", Transaction: tx, Phase: ergon.PhaseProcess, Attempt: 1, MaxAttempts: 8, Err: failure, Delay: 200 * time.Millisecond},
			[]string{"level=WARN", "delay=200ms", "attempt=1", "max_attempts=8", "phase=process", "category=SYSTEM"},
		},
		{engine.Deferring{Task: "t", Transaction: tx, Attempt: 2, Err: failure, Delay: time.Hour}, []string{"level=WARN", "delay=1h0m0s", "attempt=2"}},
		{engine.BreakerChanged{Task: "t", Phase: ergon.PhaseProcess, Open: true}, []string{"level=WARN", "phase=process"}},
		{engine.BreakerChanged{Task: "t", Phase: ergon.PhaseProcess}, []string{"level=INFO", "closed"}},
		{engine.Stuck{Task: "t", Transaction: tx, After: time.Minute, Stack: "main.f"}, []string{"level=ERROR", "stack=main.f"}},
		{engine.SettleFailed{Task: "t", Transaction: tx, Kind: ergon.Dead, Err: failure}, []string{"level=WARN", "settlement=dead"}},
		{engine.LeaseLost{Task: "t", Transaction: tx}, []string{"level=WARN", "transaction=tx-1"}},
		{
			engine.Finished{Task: "t", Transaction: tx, Outcome: engine.Dead, Err: failure, HandlerErr: errors.New("hook")},
			[]string{"level=ERROR", "dead letter", "attempt=3", "handler_error=hook"},
		},
		{engine.Finished{Task: "t", Transaction: tx, Outcome: engine.Abandoned}, []string{"level=WARN"}},
		{engine.Finished{Task: "t", Transaction: tx, Outcome: engine.Succeeded}, []string{"level=DEBUG", "outcome=succeeded"}},
		{engine.Stopping{Task: "t", Held: 4}, []string{"level=INFO", "held=4"}},
		{engine.Ended{Task: "t", Report: engine.Report{Succeeded: 5}}, []string{"level=INFO", "succeeded=5"}},
		{engine.Ended{Task: "t", Err: failure}, []string{"level=ERROR"}},
	} {
		var out bytes.Buffer
		engine.LogEvents(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))(c.event)
		for _, want := range append(c.want, "task=t") {
			require.Contains(t, out.String(), want, "%T", c.event)
		}
		require.NotContains(t, out.String(), "SECRET")
	}
}

func TestLogOfAPanicHasItsStack(t *testing.T) {
	var out bytes.Buffer
	var err error
	func() { defer ergon.Recover(&err); panic("boom") }()
	engine.LogEvents(slog.New(slog.NewTextHandler(&out, nil)))(engine.RetryScheduled{Task: "t", Err: err})
	require.Contains(t, out.String(), "TestLogOfAPanicHasItsStack")
}
