package engine_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/internal/identity"
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
			[]string{"level=ERROR", "failed for good", "attempt=3", "handler_error=hook"},
		},
		{engine.Finished{Task: "t", Transaction: tx, Outcome: engine.Abandoned}, []string{"level=WARN"}},
		{engine.Finished{Task: "t", Transaction: tx, Outcome: engine.Succeeded}, []string{"level=DEBUG", "outcome=succeeded"}},
		{engine.Stopping{Task: "t", Held: 4}, []string{"level=INFO", "held=4"}},
		{engine.Ended{Task: "t", Report: engine.Report{Succeeded: 5}}, []string{"level=INFO", "succeeded=5"}},
		{engine.Ended{Task: "t", Report: engine.Report{Abandoned: 1}, Abandoned: []string{"a-1"}}, []string{"level=WARN", "abandoned=1", "transactions=[a-1]"}},
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

// The line of a transaction that nobody traces names the trace it came with, or the one
// that its outputs begin.
func TestLogNamesTheTrace(t *testing.T) {
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for trace, want := range map[string]string{parent: parent[3:35], "": identity.TraceID(identity.TraceParent("src", "tx-1"))} {
		var out bytes.Buffer
		tx := ergon.Make(ergon.Envelope{ID: "tx-1", Source: "src", Trace: ergon.Trace{Parent: trace}}, []byte(nil))
		engine.LogEvents(slog.New(slog.NewTextHandler(&out, nil)))(engine.LeaseLost{Task: "t", Transaction: tx})
		require.Contains(t, out.String(), "trace_id="+want)
	}
}

// Contents are shown if they are asked for, as much of them as fits a line.
func TestLogContents(t *testing.T) {
	show := func(payload []byte, options ...ergon.Option) map[string]any {
		var out bytes.Buffer
		tx := ergon.New(payload, options...)
		hide := func(name string) bool { return name == "token" }
		observe := engine.LogEvents(slog.New(slog.NewJSONHandler(&out, nil)), engine.LogContents(hide))
		observe(engine.Finished{Transaction: tx, Outcome: engine.Abandoned, Err: nil})
		require.NotContains(t, out.String(), "payload", "only of what failed for good")
		out.Reset()
		observe(engine.Finished{Transaction: tx, Outcome: engine.Dead})
		var line map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		return line
	}
	line := show([]byte("text"), ergon.WithMetadata("token", "x"), ergon.WithMetadata("tenant", "y"))
	require.Equal(t, "text", line["payload"])
	require.Equal(t, map[string]any{"token": "[redacted]", "tenant": "y"}, line["metadata"])
	require.NotContains(t, line, "payload_size")

	line = show([]byte("\xff\x00"))
	require.Equal(t, "/wA=", line["payload_base64"])
	require.NotContains(t, line, "payload")
	require.NotContains(t, line, "metadata")

	line = show([]byte(strings.Repeat("ä", 1000)+"\xff"), ergon.WithMetadata("long", strings.Repeat("x", 2000)))
	require.Len(t, line["payload_base64"], 1024)
	require.Len(t, line["metadata"].(map[string]any)["long"], 1024)

	line = show([]byte("a" + strings.Repeat("ä", 1000)))
	require.Equal(t, "a"+strings.Repeat("ä", 511), line["payload"], "cut between characters")
	require.EqualValues(t, 2001, line["payload_size"])
}

// Also the line of one that is stored for later says in which phase its attempt failed.
func TestLogOfADeferralHasItsPhase(t *testing.T) {
	var out bytes.Buffer
	engine.LogEvents(slog.New(slog.NewTextHandler(&out, nil)))(engine.Deferring{Task: "t", Attempt: 2, Err: errors.New("busy"), Delay: time.Minute})
	require.Contains(t, out.String(), "phase=process attempt=2")
}
