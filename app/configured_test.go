package app_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

const doubled = `
  double:
    use: transform
    transform: { filter: "payload.n != 3", fail_if: [{ when: payload.n == 4, message: "'four'" }], map: { n: payload.n * 2 }, key: string(payload.n) }
    source: { jetstream: { stream: A, subjects: [a] } }
    routes: { out: { jetstream: { stream: B, subject: b } } }
`

// A configured task runs without any module, and beside one whose task nobody
// configured: that is said and left out.
func TestConfiguredTaskRuns(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), doubled)
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		for _, data := range []string{`{"n":1}`, `{"n":9007199254740993}`, `{"n":3}`, `{"n":4}`, `{"m":5}`, `nonsense`} {
			_, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(data)})
			require.NoError(t, err)
		}
	})
	var log bytes.Buffer
	var runner *app.Runner
	unused := app.Tasks(func() app.Task { return app.Consume("unused", upper{}) })
	fxApp := fxtest.New(t, unused, app.Module, fx.Populate(&runner),
		fx.Supply(app.Options{Config: cfg, UntilEmpty: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	fxApp.RequireStart()
	<-runner.Done()
	fxApp.RequireStop()
	require.NoError(t, runner.Err())
	require.Len(t, runner.Reports(), 1)
	require.EqualValues(t, 3, runner.Reports()[0].Succeeded)
	require.EqualValues(t, 3, runner.Reports()[0].Dead)
	require.Contains(t, log.String(), `msg="task is not configured, and does not run" task=unused`)
	withBus(t, cfg, func(b *bus.Bus) {
		var sent, dead []string
		require.NoError(t, b.Scan(t.Context(), "B", nil, false, func(m *nats.Msg, _ bus.Meta) error {
			sent = append(sent, m.Header.Get("ce-datacontenttype")+" "+m.Header.Get("ce-subject")+" "+string(m.Data))
			return nil
		}))
		require.NoError(t, b.Scan(t.Context(), "ERGON_DLQ", nil, false, func(m *nats.Msg, _ bus.Meta) error {
			dead = append(dead, m.Header.Get("Ergon-Dead-Category")+" "+m.Header.Get("Ergon-Dead-Phase")+" "+m.Header.Get("Ergon-Dead-Reason"))
			return nil
		}))
		require.ElementsMatch(t, []string{`application/json 1 {"n":2}`, `application/json 9007199254740993 {"n":18014398509481986}`}, sent)
		require.Len(t, dead, 3)
		require.Contains(t, dead, "BUSINESS process four")
		require.Contains(t, dead, "BUSINESS process filter: payload.n is missing: test has(payload.n), or write payload.?n.orValue(…) (at 1:8)")
	})
}

func TestConfiguredTaskMistakes(t *testing.T) {
	cfg := parse(t, "/nonexistent", doubled)
	twice := app.Tasks(func() app.Task { return app.Consume("double", upper{}) })
	err := fx.New(twice, app.Module, fx.Supply(app.Options{Config: cfg}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "double": a module of this program provides it, and tasks.double.use makes another: rename the one in the configuration, or remove its use`)

	// A configuration that a program made is not checked before.
	made := cfg.Tasks["double"]
	made.Transform = &config.Transform{Filter: "nonsense", MaxCost: -1}
	cfg.Tasks["double"] = made
	err = fx.New(app.Module, fx.Supply(app.Options{Config: cfg}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "double": transform: filter (at 1:1): undeclared reference to 'nonsense'`)
	made.Use = "else"
	cfg.Tasks["double"] = made
	err = fx.New(app.Module, fx.Supply(app.Options{Config: cfg}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "double": use: "else" is not known`)
	var wiring *app.WiringError
	require.ErrorAs(t, err, &wiring)
	require.Len(t, wiring.Faults, 1)

	// Named, a task that nobody configured is a fault as ever.
	unused := app.Tasks(func() app.Task { return app.Consume("unused", upper{}) })
	err = fx.New(unused, app.Module, fx.Supply(app.Options{Config: parse(t, "/nonexistent", doubled), Only: []string{"unused", "double"}}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "unused": it has no configuration`)
}
