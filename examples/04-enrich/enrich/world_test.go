package enrich_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/04-enrich/enrich"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
)

const (
	file  = "../ergon.yaml"
	lines = "../../02-retail/testdata/lines.csv"
	soon  = 30 * time.Second // never waited for, but where something is broken
)

// world is the example as its file says, with a store, a database and a model of the
// test's own.
type world struct {
	t        *testing.T
	env      map[string]string
	dir      string
	endpoint *llmtest.Server
	model    atomic.Pointer[func(llmtest.Request) llmtest.Answer] // what it says now
	runner   *app.Runner
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.answer(classify)
	w.endpoint = llmtest.New(t, func(r llmtest.Request) llmtest.Answer { return (*w.model.Load())(r) })
	w.env = map[string]string{
		"ERGON_BUS_STORE": filepath.Join(w.dir, "store"), "ERGON_BUS_LISTEN": "off", "ERGON_ADMIN_LISTEN": "127.0.0.1:0",
		"ERGON_SERVICES_CUSTOMERS_SQL_URL":      "sqlite:" + w.database(),
		"ERGON_SERVICES_CATEGORIES_LLM_URL":     w.endpoint.URL,
		"ERGON_SERVICES_CATEGORIES_LLM_API_KEY": llmtest.Key,
		// What the file waits for for seconds is waited for briefly, and parked all the same.
		"ERGON_SERVICES_CATEGORIES_POLICY_BREAKER_DELAY":         "300ms",
		"ERGON_TASKS_ENRICH_CONSUMER_PROCESS_RETRY_BACKOFF":      "200ms",
		"ERGON_TASKS_ENRICH_CONSUMER_PROCESS_RETRY_BACKOFF_CAP":  "400ms",
		"ERGON_TASKS_ENRICH_CONSUMER_TRANSACTION_REDELIVER_OVER": "100ms",
	}
	return w
}

func (w *world) database() string { return filepath.Join(w.dir, "customers.db") }

func (w *world) lookup(name string) (string, bool) {
	value, ok := w.env[name]
	return value, ok
}

func (w *world) answer(f func(llmtest.Request) llmtest.Answer) { w.model.Store(&f) }

// classify is a model that knows mugs.
func classify(r llmtest.Request) llmtest.Answer {
	if strings.Contains(r.User, "MUG") {
		return llmtest.JSON(enrich.Answer{Category: enrich.Kitchen})
	}
	return llmtest.JSON(enrich.Answer{Category: enrich.Other})
}

// command runs a command of the example's program.
func (w *world) command(args ...string) (code int, stderr string) {
	w.t.Helper()
	var out, errs bytes.Buffer
	p := &cli.Process{Args: append(args, "-f", file), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: w.lookup}
	return p.Run(context.WithoutCancel(w.t.Context()), enrich.Module), errs.String()
}

// start runs the example until the test ends.
func (w *world) start() {
	t := w.t
	t.Helper()
	cfg, err := config.Load(file, w.lookup)
	require.NoError(t, err)
	fxApp := fx.New(enrich.Module, app.Module, fx.Supply(app.Options{Config: cfg}), fx.Populate(&w.runner), fx.NopLogger)
	require.NoError(t, fxApp.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), w.runner.StopTime())
		defer cancel()
		require.NoError(t, fxApp.Stop(ctx))
	})
}

func (w *world) js() jetstream.JetStream { return w.runner.Conn().JetStream() }

// publish sends lines, of invoices with names of their own.
func (w *world) publish(all ...enrich.Line) {
	w.t.Helper()
	for _, l := range all {
		data, err := json.Marshal(l)
		require.NoError(w.t, err)
		_, err = w.js().PublishMsg(w.t.Context(), &nats.Msg{Subject: "enrich.lines", Header: nats.Header{"Nats-Msg-Id": {l.InvoiceNo}}, Data: data})
		require.NoError(w.t, err)
	}
}

// ask asks the admin server.
func (w *world) ask(path string) (code int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.runner.AdminAddr()+path, nil)
	require.NoError(w.t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	return res.StatusCode, string(data)
}

// eventually waits for what is to come.
func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	require.Eventually(w.t, is, soon, 20*time.Millisecond, what)
}

// outcomes are the enriched lines by invoice, and the reasons of dead letters, as the
// streams hold them. Each invoice is in them once.
func outcomes(t *testing.T, b *bus.Bus) (enriched map[string]enrich.Enriched, dead map[string]string) {
	t.Helper()
	enriched, dead = map[string]enrich.Enriched{}, map[string]string{}
	require.NoError(t, b.Scan(t.Context(), "ENRICHED", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		var e enrich.Enriched
		require.NoError(t, json.Unmarshal(m.Data, &e))
		require.NotContains(t, enriched, e.Invoice)
		enriched[e.Invoice] = e
		return nil
	}))
	require.NoError(t, b.Scan(t.Context(), bus.DefaultDeadStream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
		var l enrich.Line
		require.NoError(t, json.Unmarshal(m.Data, &l))
		require.NotContains(t, enriched, l.InvoiceNo)
		require.NotContains(t, dead, l.InvoiceNo)
		dead[l.InvoiceNo] = m.Header.Get("Ergon-Dead-Category") + " " + m.Header.Get("Ergon-Dead-Reason")
		return nil
	}))
	return enriched, dead
}

// look opens the world's bus, between two runs.
func (w *world) look(f func(*bus.Bus)) {
	w.t.Helper()
	cfg, err := config.Load(file, w.lookup)
	require.NoError(w.t, err)
	conn, err := app.Open(w.t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
	require.NoError(w.t, err)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(w.t, conn.Close(ctx))
	}()
	f(conn.Bus)
}

// count is how many messages a stream holds.
func (w *world) count(stream string) int {
	w.t.Helper()
	s, err := w.js().Stream(w.t.Context(), stream)
	require.NoError(w.t, err)
	return int(s.CachedInfo().State.Msgs)
}
