package app_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

func TestMain(m *testing.M) {
	// nats.go waits for ever for the state of a connection that was closed just before an
	// object is stored: its channel is nil then.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

type upper struct{ suffix suffix }

type suffix string // a service

func (u upper) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	return strings.ToUpper(tx.Payload()) + string(u.suffix), nil
}

type sender struct{}

func (sender) Process(context.Context, ergon.Transaction[string]) (ergon.Outputs, error) {
	return ergon.Outputs{ergon.To("a", "1"), ergon.To("b", "2")}, nil
}

type badHook struct{ upper }

func (badHook) HandleSuccess(context.Context, string) error { return nil }

func parse(t *testing.T, store, tasks string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte("bus: { listen: off, store: '"+store+"' }\ntasks:\n"+tasks), func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	return cfg
}

const chain = `
  first:
    source: { jetstream: { stream: A, subjects: [a] } }
    routes: { out: { jetstream: { stream: B, subject: b } } }
    producer: { loop: { concurrency: 8 }, batch: { size: 50 } }
  second:
    source: { jetstream: { stream: B, subjects: [b] } }
    routes: { out: { jetstream: { stream: C, subject: c } } }
`

// first produces what second consumes.
func (u upper) Produce(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	return u.Process(ctx, tx)
}

var chained = app.Tasks(
	func(s suffix) app.Task { return app.Produce("first", upper{s}) },
	func() (app.Task, error) { return app.Consume("second", upper{"?"}), nil },
)

// Two tasks, one feeding the other, run until empty: the second does not end
// before the first has.
func TestChainUntilEmpty(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	cfg := parse(t, store, chain)
	const n = 500
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		for range n {
			_, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
			require.NoError(t, err)
		}
	})
	var runner *app.Runner
	fxApp := fxtest.New(t, chained, fx.Supply(suffix("!")), app.Module, fx.Supply(app.Options{Config: cfg, UntilEmpty: true}), fx.Populate(&runner))
	fxApp.RequireStart()
	<-runner.Done()
	require.Zero(t, (<-fxApp.Wait()).ExitCode, "the application is shut down by itself")
	fxApp.RequireStop()
	require.NoError(t, runner.Stop(t.Context()), "a second stop is nothing")
	require.NoError(t, runner.Err())
	reports := runner.Reports()
	require.Len(t, reports, 2)
	for _, r := range reports {
		require.EqualValues(t, n, r.Succeeded, r.Task)
	}
	withBus(t, cfg, func(b *bus.Bus) {
		seen := 0
		require.NoError(t, b.Scan(t.Context(), "C", nil, false, func(m *nats.Msg, _ bus.Meta) error {
			seen++
			require.Equal(t, `"X!?"`, string(m.Data))
			return nil
		}))
		require.Equal(t, n, seen)
	})
}

func withBus(t *testing.T, cfg *config.Config, use func(*bus.Bus)) {
	t.Helper()
	conn, err := app.Open(t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	use(conn.Bus)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	require.NoError(t, conn.Close(ctx))
}

// Wiring mistakes are found before anything is opened, all at once, each with
// the task's name and what to do (issue of every DI framework: the container's
// own words).
func TestWiringMistakes(t *testing.T) {
	const routes = `
  task:
    source: { jetstream: { stream: A, subjects: [a] } }
    routes: { out: { jetstream: { stream: B, subject: b } } }
`
	for name, c := range map[string]struct {
		tasks   fx.Option
		config  string
		only    []string
		message []string
	}{
		"unknown route": {
			app.Tasks(func() app.Task { return app.Consume("task", sender{}, app.Routes("a", "b", "out")) }), routes, nil,
			[]string{`task "task": its route "a" is not bound: add tasks.task.routes.a`, `its route "b" is not bound`},
		},
		"undeclared routes": {
			app.Tasks(func() app.Task { return app.Consume("task", sender{}) }), routes, nil,
			[]string{`task "task": it returns ergon.Outputs and declares no routes`},
		},
		"no configuration": {
			app.Tasks(func() app.Task { return app.Consume("other", upper{}) }), routes, nil,
			[]string{`task "other": it has no configuration: add tasks.other`, `task "task": it is configured, and no module provides it; this program has "other"`},
		},
		"two of one name": {
			app.Tasks(func() app.Task { return app.Consume("task", upper{}) }, func() app.Task { return app.Consume("task", upper{}) }), routes, nil,
			[]string{`task "task": two tasks are registered under this name`},
		},
		"hook with a wrong signature": {
			app.Tasks(func() app.Task { return app.Consume("task", badHook{}) }), routes, nil,
			[]string{`task "task": app_test.badHook.HandleSuccess has the signature func(context.Context, string) error and would never be called`},
		},
		"no such task": {
			app.Tasks(func() app.Task { return app.Consume("task", upper{}) }), routes, []string{"tsk"},
			[]string{`task "tsk": there is no such task; this program has "task" (did you mean "task"?)`},
		},
		"nothing at all": {fx.Options(), "  {}\n", nil, []string{"no module provides a task"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "/nonexistent/and/never/opened", c.config)
			err := fx.New(c.tasks, app.Module, fx.Supply(app.Options{Config: cfg, Only: c.only}), fx.NopLogger).Err()
			var wiring *app.WiringError
			require.ErrorAs(t, err, &wiring)
			for _, want := range c.message {
				require.Contains(t, wiring.Error(), want)
			}
		})
	}
}

// A start that fails closes what it opened.
func TestFailedStartRollsBack(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	cfg := parse(t, store, chain)
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.EnsureStream(t.Context(), bus.Stream{Name: "OTHER", Subjects: []string{"b"}})
		require.NoError(t, err)
	})
	fxApp := fx.New(chained, fx.Supply(suffix("")), app.Module, fx.Supply(app.Options{Config: cfg}), fx.NopLogger)
	require.NoError(t, fxApp.Err())
	err := fxApp.Start(t.Context())
	require.ErrorIs(t, err, bus.ErrTopology)
	require.ErrorContains(t, err, "OTHER")
	withBus(t, cfg, func(*bus.Bus) {}) // the store is free again
}

func TestOpenSharesTheStore(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), chain)
	cfg.Bus.Listen = "127.0.0.1:0"
	withBus(t, cfg, func(first *bus.Bus) {
		withBus(t, cfg, func(second *bus.Bus) {
			require.NotSame(t, first, second)
			_, err := second.EnsureStream(t.Context(), bus.Stream{Name: "X", Subjects: []string{"x"}})
			require.NoError(t, err)
			_, err = first.JetStream().Stream(t.Context(), "X")
			require.NoError(t, err, "both see one server")
		})
	})
}

// When the process that runs the server of a shared store ends, one of the others
// takes it over at the same address: nobody waits for ever.
func TestHeirTakesOver(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), chain)
	cfg.Bus.Listen = "127.0.0.1:0"
	log := slog.New(slog.DiscardHandler)
	closing, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	first, err := app.Open(t.Context(), cfg.Bus, log)
	require.NoError(t, err)
	second, err := app.Open(t.Context(), cfg.Bus, log)
	require.NoError(t, err)
	third, err := app.Open(t.Context(), cfg.Bus, log)
	require.NoError(t, err)
	_, err = first.EnsureStream(t.Context(), bus.Stream{Name: "X", Subjects: []string{"x"}})
	require.NoError(t, err)
	reaches := func(conn *app.Conn) {
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := conn.JetStream().Stream(ctx, "X")
			return err == nil && conn.Status().Connected
		}, 30*time.Second, 20*time.Millisecond)
	}
	require.NoError(t, first.Close(closing))
	reaches(second)
	reaches(third)
	require.NoError(t, second.Close(closing))
	reaches(third) // whichever of the two it was
	require.NoError(t, third.Close(closing))
}
