package app_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/engine"
)

const one = `
  one:
    source: { jetstream: { stream: A, subjects: [a] } }
    routes: { out: { jetstream: { stream: B, subject: b } } }
    consumer: { fetch: { retry: { max_attempts: 2, backoff: 1ms } } }
`

// client is a service with a life of its own.
type client struct{ open atomic.Bool }

func newClient(lc fx.Lifecycle) *client {
	c := &client{}
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error { c.open.Store(true); return nil },
		OnStop:  func(context.Context) error { c.open.Store(false); return nil },
	})
	return c
}

// caller is a task that calls it.
type caller struct {
	client *client
	called chan struct{} // receives when an attempt began
	finish chan struct{} // lets it go on
	shut   *atomic.Int64 // attempts that saw the client closed
}

func (c caller) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	for range 2 {
		if !c.client.open.Load() {
			c.shut.Add(1)
		}
		select {
		case c.called <- struct{}{}:
			<-c.finish
		default:
		}
	}
	return tx.Payload(), nil
}

// R052, R059: a service is started before its task runs for the first time, and
// closed only after the task has been drained: the reverse order.
func TestServicesOutliveTheirTasks(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), one)
	withBus(t, cfg, func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
		require.NoError(t, err)
		_, err = b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
		require.NoError(t, err)
	})
	called, finish := make(chan struct{}, 1), make(chan struct{})
	var shut atomic.Int64
	var service *client
	var runner *app.Runner
	fxApp := fx.New(
		fx.Provide(newClient),
		app.Tasks(func(c *client) app.Task { return app.Consume("one", caller{c, called, finish, &shut}) }),
		app.Module, fx.Supply(app.Options{Config: cfg, Observe: func(ev engine.Event) {
			if _, ok := ev.(engine.Stopping); ok {
				close(finish) // the stop waits for what runs
			}
		}}), fx.Populate(&runner, &service), fx.NopLogger,
	)
	require.NoError(t, fxApp.Err())
	require.False(t, service.open.Load(), "it is made, and not started")
	require.NoError(t, fxApp.Start(t.Context()))
	<-called
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	require.False(t, service.open.Load())
	require.Zero(t, shut.Load())
	require.EqualValues(t, 1, runner.Reports()[0].Succeeded)
}

// R103, defect 12: a task that fails for good ends the run, and the run's exit
// code says so; what it had done stands in its report.
func TestFailedTaskShowsInTheExitCode(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), one)
	cfg.Runner.Restarts = 0
	var runner *app.Runner
	fxApp := fx.New(
		app.Tasks(func() app.Task { return app.Consume("one", upper{}) }),
		app.Module, fx.Supply(app.Options{Config: cfg}), fx.Populate(&runner), fx.NopLogger,
	)
	require.NoError(t, fxApp.Err())
	require.NoError(t, fxApp.Start(t.Context()))
	require.Equal(t, app.ExitDone, runner.ExitCode())
	// Deleted alone it would be made anew; now its subject belongs to another one.
	js := runner.Conn().JetStream()
	_, err := js.UpdateStream(t.Context(), natsjs.StreamConfig{Name: "A", Subjects: []string{"elsewhere"}})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "OTHER", Subjects: []string{"a"}})
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), "A"))
	require.Equal(t, app.ExitFailed, (<-fxApp.Wait()).ExitCode, "it shuts the application down by itself")
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	require.Equal(t, app.ExitFailed, runner.ExitCode())
	require.ErrorContains(t, runner.Err(), "fetch from jetstream")
	require.Equal(t, "one", runner.Reports()[0].Task)
}

// busy asks to be tried again later, once.
type busy struct{ asked *atomic.Int64 }

func (b busy) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	if b.asked.Add(1) == 1 {
		return "", ergon.RetryAfter(300*time.Millisecond, errors.New("busy"))
	}
	return tx.Payload(), nil
}

// A wait over transaction.redeliver_over leaves the consumer, by nothing but the
// configuration; a stream that would drop what waits is refused at start.
func TestLongWaitsPark(t *testing.T) {
	run := func(prepare func(*bus.Bus)) (*app.Runner, error) {
		cfg := parse(t, filepath.Join(t.TempDir(), "store"), strings.Replace(one, "consumer: {", "consumer: { transaction: { redeliver_over: 100ms },", 1))
		withBus(t, cfg, func(b *bus.Bus) {
			_, err := b.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
			require.NoError(t, err)
			_, err = b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
			require.NoError(t, err)
			prepare(b)
		})
		var runner *app.Runner
		fxApp := fx.New(
			app.Tasks(func() app.Task { return app.Consume("one", busy{new(atomic.Int64)}) }),
			app.Module, fx.Supply(app.Options{Config: cfg, UntilEmpty: true}), fx.Populate(&runner), fx.NopLogger,
		)
		require.NoError(t, fxApp.Err())
		if err := fxApp.Start(t.Context()); err != nil {
			return nil, err
		}
		<-runner.Done()
		return runner, fxApp.Stop(context.WithoutCancel(t.Context()))
	}
	runner, err := run(func(*bus.Bus) {})
	require.NoError(t, err)
	report := runner.Reports()[0]
	require.EqualValues(t, 1, report.Deferred)
	require.EqualValues(t, 1, report.Succeeded)

	_, err = run(func(b *bus.Bus) {
		_, err := b.EnsureStream(t.Context(), bus.Stream{
			Name: bus.DefaultParkedStream, Subjects: []string{"ergon.parked.>"}, Retention: bus.RetentionWorkQueue,
			AllowSchedules: true, MaxAge: time.Minute,
		})
		require.NoError(t, err)
	})
	require.ErrorIs(t, err, bus.ErrTopology)
	require.ErrorContains(t, err, "max_age 1m0s")
}

// runOne runs the task "one" on a store until it ends by itself.
func runOne(t *testing.T, opts app.Options, task app.Task) (engine.Report, error) {
	t.Helper()
	var runner *app.Runner
	fxApp := fx.New(app.Tasks(func() app.Task { return task }), app.Module, fx.Supply(opts), fx.Populate(&runner), fx.NopLogger)
	require.NoError(t, fxApp.Err())
	require.NoError(t, fxApp.Start(t.Context()))
	<-runner.Done()
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	return runner.Reports()[0], runner.Err()
}

// What was parked before redeliver_over was switched off is taken up all the same.
func TestParkedBeforeItWasSwitchedOff(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	with := func(over string) *config.Config {
		return parse(t, store, strings.Replace(one, "consumer: {", "consumer: { transaction: { redeliver_over: "+over+" },", 1))
	}
	withBus(t, with("0s"), func(b *bus.Bus) {
		_, err := b.Ensure(t.Context(), bus.Topology{Streams: with("0s").Topology()})
		require.NoError(t, err)
		_, err = b.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
		require.NoError(t, err)
	})
	task := app.Consume("one", busy{new(atomic.Int64)})
	report, err := runOne(t, app.Options{Config: with("100ms"), Limit: 1}, task)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Deferred)
	report, err = runOne(t, app.Options{Config: with("0s"), UntilEmpty: true}, task)
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Succeeded)
}

// deleter is a task under which its stream is deleted.
type deleter func() error

func (d deleter) Process(_ context.Context, tx ergon.Transaction[string]) (string, error) {
	return tx.Payload(), d()
}

// A stream that is deleted in the middle is made anew, and empty: that is no
// success of a run until empty.
func TestUntilEmptyOfADeletedStreamFails(t *testing.T) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), strings.Replace(one, "consumer: {", "consumer: { loop: { concurrency: 1 },", 1))
	conn, err := app.Open(t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) })
	_, err = conn.Ensure(t.Context(), bus.Topology{Streams: cfg.Topology()})
	require.NoError(t, err)
	for range 20 {
		_, err := conn.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`)})
		require.NoError(t, err)
	}
	var once atomic.Bool
	task := app.Consume("one", deleter(func() error {
		if once.Swap(true) {
			return nil
		}
		return conn.JetStream().DeleteStream(context.WithoutCancel(t.Context()), "A")
	}))
	report, err := runOne(t, app.Options{Config: cfg, Conn: conn, UntilEmpty: true}, task)
	require.Less(t, report.Succeeded, int64(20))
	require.ErrorContains(t, err, `task "one": consumer "A/one": deleted while it ran, with what was not delivered: stream A`)
}
