package admin_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/connectors/memory"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/policy"
)

func well(context.Context, ergon.Transaction[string]) (ergon.None, error) { return ergon.None{}, nil }

// What each of the three probes says in each state.
func TestStates(t *testing.T) {
	p := newProcess()
	s := start(t, admin.Config{Process: p})
	for state, want := range map[admin.State]map[string]int{
		admin.Starting: {"/livez": 200, "/readyz": 503, "/startupz": 503},
		admin.Running:  {"/livez": 200, "/readyz": 200, "/startupz": 200},
		admin.Stopping: {"/livez": 200, "/readyz": 503, "/startupz": 200},
	} {
		p.state.Store(state)
		for path, code := range want {
			got, body := s.get(path)
			require.Equal(t, code, got, "%s while %s: %s", path, state, body)
		}
	}
	p.state.Store(admin.Running)
	away := errors.New("NATS can't be reached:\nrefused")
	p.transport.Store(&away)
	code, ready := into[admin.Readiness](s, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, admin.Readiness{
		State: admin.Running, Reasons: []string{"bus: NATS can't be reached:; refused"}, Tasks: []admin.TaskReadiness{},
		Transport: []admin.Checked{{Check: "bus", Reason: "NATS can't be reached:; refused"}}, Services: []admin.Checked{},
	}, ready)
	code, _ = s.get("/livez")
	require.Equal(t, http.StatusOK, code, "a new process would not reach it either")
}

// A service that is not well makes the process unready, and does not end it.
func TestUnreadyService(t *testing.T) {
	p := newProcess()
	p.services = []engine.Check{{Part: "geo", Err: errors.New("the index is loading")}, {Part: "rates"}}
	s := start(t, admin.Config{Process: p})
	code, ready := into[admin.Readiness](s, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, []string{"service geo: the index is loading"}, ready.Reasons)
	want := []admin.Checked{{Check: "geo", Reason: "the index is loading"}, {Check: "rates", OK: true}}
	require.Equal(t, want, ready.Services)
	_, status := into[admin.Status](s, "/status")
	require.Equal(t, want, status.Services)
	require.True(t, status.Live)
}

// A dead-letter store that refuses makes its task unready, with the reason, until it
// takes letters again.
func TestUnreadyWhileDeadLettersAreRefused(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	r := newRig()
	r.policy.Loop.Streaming = true
	r.queueO.OnSettle = func(memory.Settled) error {
		if full.Load() {
			return errors.New("the dead-letter stream is full")
		}
		return nil
	}
	r.run(t, func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		return ergon.None{}, ergon.Business("no")
	}, "a")
	s := start(t, admin.Config{Process: newProcess(r.engine)})
	s.eventually("/readyz", http.StatusServiceUnavailable)
	_, ready := into[admin.Readiness](s, "/readyz")
	require.Len(t, ready.Tasks, 1)
	require.Equal(t, "score", ready.Tasks[0].Task)
	require.False(t, ready.Tasks[0].Ready)
	require.Equal(t, admin.Checked{Check: "fetch", OK: true}, ready.Tasks[0].Checks[0])
	require.Equal(t, "settle", ready.Tasks[0].Checks[1].Check)
	require.Contains(t, ready.Reasons[0], "score: settle: dead letters can't be stored")
	require.Contains(t, ready.Reasons[0], "the dead-letter stream is full")
	code, _ := s.get("/livez")
	require.Equal(t, http.StatusOK, code)
	full.Store(false)
	s.eventually("/readyz", http.StatusOK)
}

// river is a source on a real stream.
func river(t *testing.T, server *embedded.Server) (*bus.Bus, *jetstream.Source) {
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_ = b.Close(ctx) // fails where the test took the server away
	})
	_, err = b.EnsureStream(t.Context(), bus.Stream{Name: "IN", Subjects: []string{"in"}})
	require.NoError(t, err)
	pub, err := b.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = pub.Close(context.WithoutCancel(t.Context())) })
	letters, err := b.NewDeadLetters(t.Context(), bus.DeadLetterConfig{}, pub)
	require.NoError(t, err)
	t.Cleanup(func() { _ = letters.Close(context.WithoutCancel(t.Context())) })
	source, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
		Bus: b, Task: "score", DeadLetters: letters, CheckEvery: 20 * time.Millisecond,
		Consumer: bus.Consumer{Stream: "IN", Durable: "score"},
	})
	require.NoError(t, err)
	return b, source
}

// A task whose source's stream is deleted is not ready until it is there again, and
// lives all the while.
func TestUnreadyWhileTheStreamIsGone(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "off"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, source := river(t, server)
	r := newRig()
	r.policy.Loop.Streaming, r.source = true, source
	r.policy.Fetch.Retry.MaxAttempts, r.policy.Fetch.Retry.BackoffCap = 1000, policy.Duration(50*time.Millisecond)
	r.run(t, well)
	s := start(t, admin.Config{Process: newProcess(r.engine)})
	s.eventually("/readyz", http.StatusOK)
	require.NoError(t, b.JetStream().DeleteStream(t.Context(), "IN"))
	s.eventually("/readyz", http.StatusServiceUnavailable)
	_, ready := into[admin.Readiness](s, "/readyz")
	require.NotEmpty(t, ready.Reasons)
	require.Contains(t, ready.Reasons[0], `IN`)
	code, _ := s.get("/livez")
	require.Equal(t, http.StatusOK, code)
	_, err = b.EnsureStream(t.Context(), bus.Stream{Name: "IN", Subjects: []string{"in"}})
	require.NoError(t, err)
	s.eventually("/readyz", http.StatusOK)
}

// That the bus is away is no reason to begin anew.
func TestLiveWhileTheBusIsAway(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "off"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	_, source := river(t, server)
	r := newRig()
	r.policy.Loop.Streaming, r.source = true, source
	r.policy.Fetch.Retry.MaxAttempts = 1000
	r.run(t, well)
	s := start(t, admin.Config{Process: newProcess(r.engine)})
	s.eventually("/readyz", http.StatusOK)
	server.Shutdown()
	s.eventually("/readyz", http.StatusServiceUnavailable)
	code, body := s.get("/livez")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "ok\n", body)
	code, status := into[admin.Status](s, "/status")
	require.Equal(t, http.StatusOK, code, "it asks the bus nothing")
	require.False(t, status.Ready)
	require.True(t, status.Live)
}

// Only a new process helps where every slot and its replacement is taken by code that
// ignores its context.
func TestDeadWhenAllSlotsAreStuck(t *testing.T) {
	release := make(chan struct{})
	r := newRig()
	r.policy.Loop.Concurrency, r.policy.Loop.Prefetch = 1, 1
	r.policy.Process.Retry.Timeout, r.policy.Transaction.StuckAfter = policy.Duration(time.Millisecond), policy.Duration(time.Millisecond)
	r.run(t, func(context.Context, ergon.Transaction[string]) (ergon.None, error) {
		<-release // it ignores its context
		return ergon.None{}, nil
	}, "a", "b", "c")
	t.Cleanup(func() { close(release) })
	s := start(t, admin.Config{Process: newProcess(r.engine)})
	s.eventually("/livez", http.StatusServiceUnavailable)
	_, body := s.get("/livez")
	require.Equal(t, "task \"score\": 2 attempts do not return: too many tasks ignore their cancelled context\n", body)
	_, status := into[admin.Status](s, "/status")
	require.False(t, status.Live)
	require.Contains(t, status.LiveReason, "2 attempts do not return")
	require.EqualValues(t, 2, status.Tasks[0].Stuck)
}
