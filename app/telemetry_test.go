package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
)

// receiver keeps what is sent by OTLP over HTTP, by signal. Names stand in it as they are.
type receiver struct {
	mu   sync.Mutex
	sent map[string]string
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[req.URL.Path] += string(body)
}

// buffer is written to from many goroutines.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

type talker struct{ log *slog.Logger }

func (t talker) Process(ctx context.Context, tx ergon.Transaction[[]byte]) (ergon.None, error) {
	t.log.InfoContext(ctx, "mine", "size", len(tx.Payload()))
	if string(tx.Payload()) == "no" {
		return ergon.None{}, ergon.Business("no")
	}
	return ergon.None{}, nil
}

// R029, R032, R059: a run has its telemetry from before its first task to after its
// last, also where nobody but its configuration says so. What a task logs says which
// transaction it is of.
func TestARunIsTold(t *testing.T) {
	for _, own := range []bool{true, false} {
		r := &receiver{sent: map[string]string{}}
		server := httptest.NewServer(r)
		defer server.Close()
		cfg := parse(t, filepath.Join(t.TempDir(), "store"), `
  talk:
    source: { jetstream: { stream: T, subjects: [t] } }
`)
		cfg.Telemetry.OTLP.Endpoint, cfg.Telemetry.OTLP.Protocol = server.URL, "http/protobuf"
		cfg.Telemetry.Logs.Exporter = "otlp"
		var lines buffer
		log := slog.New(slog.NewJSONHandler(&lines, nil))
		opts := app.Options{Config: cfg, Logger: log, UntilEmpty: true}
		if own {
			tel, err := app.OpenTelemetry(t.Context(), cfg, func(string) (string, bool) { return "", false }, log)
			require.NoError(t, err)
			opts.Telemetry, opts.Logger = tel, slog.New(tel.Handler(log.Handler()))
			log = opts.Logger
		}
		conn, err := app.Open(t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		opts.Conn = conn
		runner := newRunner(t, opts, app.Tasks(func() app.Task { return app.Consume("talk", talker{log}) }))
		_, err = conn.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		for _, payload := range []string{"yes", "no"} {
			_, err = conn.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "t", Data: []byte(payload)})
			require.NoError(t, err)
		}
		require.NoError(t, runner.Start(t.Context()))
		<-runner.Done()
		require.NoError(t, runner.Stop(t.Context()))
		require.NoError(t, conn.Close(t.Context()))
		if own {
			require.NoError(t, opts.Telemetry.Shutdown(t.Context()))
		}

		r.mu.Lock()
		for _, name := range []string{"transaction", "process.attempt.1", "ergon.task", "talk", "messaging.destination.name", "no"} {
			require.Contains(t, r.sent["/v1/traces"], name)
		}
		for _, name := range []string{"ergon.transactions", "ergon.dead_letters", "go.goroutine.count"} {
			require.Contains(t, r.sent["/v1/metrics"], name)
		}
		if own {
			require.Contains(t, r.sent["/v1/logs"], "mine")
			require.Contains(t, r.sent["/v1/logs"], "transaction failed for good")
			for _, line := range logged(t, lines.String(), "mine", "transaction failed for good") {
				for _, key := range []string{"transaction", "source", "task", "phase", "attempt", "trace_id", "span_id"} {
					require.Contains(t, line, key)
				}
			}
		}
		r.mu.Unlock()
	}
}

// logged are the lines whose message begins so; there is one at least of each.
func logged(t *testing.T, text string, messages ...string) (found []map[string]any) {
	t.Helper()
	for _, message := range messages {
		before := len(found)
		for line := range strings.Lines(text) {
			var fields map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &fields))
			if strings.HasPrefix(fields["msg"].(string), message) {
				found = append(found, fields)
			}
		}
		require.Greater(t, len(found), before, message)
	}
	return found
}

func TestTelemetryFaultStopsTheStart(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "smoke")
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), holds)
	runner := newRunner(t, app.Options{Config: cfg}, app.Tasks(func() app.Task { return app.Consume("held", held{}) }))
	require.ErrorContains(t, runner.Start(t.Context()), "OTEL_TRACES_EXPORTER")
}
