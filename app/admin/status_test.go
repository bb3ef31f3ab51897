package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/admin"
)

// A status equals what ran.
func TestStatus(t *testing.T) {
	r := newRig()
	r.policy.Process.Bulkhead.MaxConcurrency = 3
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprintf("good-%d", i))
	}
	for i := range 25 {
		ids = append(ids, fmt.Sprintf("bad-%02d", i))
	}
	ids = append(ids, "again", "never")
	r.run(t, func(ctx context.Context, tx ergon.Transaction[string]) (ergon.None, error) {
		switch id := tx.ID(); {
		case strings.HasPrefix(id, "bad"):
			return ergon.None{}, ergon.Business("%s%s", id, strings.Repeat("é", 2000))
		case id == "never", id == "again" && ergon.ExecutionOf(ctx).Attempt == 1:
			return ergon.None{}, errors.New("not now")
		}
		return ergon.None{}, nil
	}, ids...)
	s := start(t, admin.Config{Process: newProcess(r.engine), Trail: r.trail})
	<-r.ended
	require.NoError(t, r.err)

	code, status := into[admin.Status](s, "/status")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, runtime.Version(), status.Build.Go)
	require.Equal(t, os.Getpid(), status.PID)
	require.Positive(t, status.UptimeSeconds)
	require.Equal(t, admin.Running, status.State)
	require.True(t, status.Live)
	require.True(t, status.Ready)
	require.Len(t, status.Tasks, 1)
	task := status.Tasks[0]
	require.Equal(t, "score", task.Task)
	require.Equal(t, "memory", task.Connector)
	require.Equal(t, 1, task.PolicyGeneration)
	require.Equal(t, map[string]int64{
		"succeeded": 31, "dead": 26, "deferred": 0, "released": 0, "lost": 0, "merged": 0, "abandoned": 0,
	}, task.Outcomes)
	require.Equal(t, []admin.DeadBy{{"process", "BUSINESS", 25}, {"process", "SYSTEM", 1}}, task.DeadBy)
	require.EqualValues(t, 57, task.Started)
	require.EqualValues(t, 3, task.Retries)
	require.Equal(t, admin.InFlight{Running: map[string]int64{"process": 0, "produce": 0, "success": 0, "exception": 0}}, task.InFlight)
	require.Equal(t, []admin.Limit{{"slots", 0, 4}, {"window", 0, int64(r.policy.Loop.Window)}, {"process", 0, 3}}, task.Limits)
	require.EqualValues(t, 31, task.Latency["transaction"].Count)
	require.EqualValues(t, 57, task.Latency["process"].Count)
	require.Positive(t, task.Latency["process"].P99MS)
	require.LessOrEqual(t, task.Latency["process"].P50MS, task.Latency["process"].P90MS)
	require.Nil(t, task.Lag, "a memory queue knows none")

	require.Len(t, status.LastErrors, 20)
	require.True(t, status.LastErrors[0].At.Compare(status.LastErrors[19].At) >= 0, "the latest first")
	for _, e := range status.LastErrors {
		require.Equal(t, "process", e.Phase)
		require.Equal(t, "test", e.Source)
		require.True(t, strings.HasPrefix(e.Reason, e.Transaction) || e.Transaction == "never")
		require.LessOrEqual(t, len(e.Reason), 1010)
		require.NotContains(t, e.Reason, "\ufffd")
	}
	_, body := s.get("/status")
	require.NotContains(t, body, "secret payload")
	for _, name := range []string{`"uptime_seconds":`, `"p50_ms":`, `"last_10s":{"transactions_per_second":`, `"lag":null`, `"dead_by":[{"phase":`} {
		require.Contains(t, body, name)
	}
}

// What runs now is told by phase, and what keeps others from it.
func TestStatusOfWhatRuns(t *testing.T) {
	r := newRig()
	r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 2, 2
	release, began := make(chan struct{}), make(chan struct{})
	r.run(t, func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		began <- struct{}{}
		<-release
		return ergon.None{}, nil
	}, "a", "b")
	s := start(t, admin.Config{Process: newProcess(r.engine)})
	<-began
	<-began
	_, status := into[admin.Status](s, "/status")
	task := status.Tasks[0]
	require.EqualValues(t, 2, task.InFlight.Running["process"])
	require.Equal(t, 2, task.InFlight.Held)
	require.Equal(t, admin.Limit{Name: "slots", Used: 2, Max: 2}, task.Limits[0])
	require.EqualValues(t, 2, task.Limits[1].Used)
	require.Zero(t, task.Rates.Last10s.TransactionsPerSecond)
	require.Empty(t, status.LastErrors, "without a trail none is known")
	close(release)
	<-r.ended
	_, status = into[admin.Status](s, "/status")
	rates := status.Tasks[0].Rates
	require.InEpsilon(t, 2, rates.Last10s.TransactionsPerSecond*rates.Last10s.Seconds, 0.001, "both were done since the server was started")
	require.Zero(t, rates.Last1m.DeadPerSecond)
}
