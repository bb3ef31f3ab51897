package app_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
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
	var runner *app.Runner
	fxApp := fx.New(
		app.Tasks(func() app.Task { return app.Consume("one", upper{}) }),
		app.Module, fx.Supply(app.Options{Config: cfg}), fx.Populate(&runner), fx.NopLogger,
	)
	require.NoError(t, fxApp.Err())
	require.NoError(t, fxApp.Start(t.Context()))
	require.Equal(t, app.ExitDone, runner.ExitCode())
	require.NoError(t, runner.Conn().JetStream().DeleteStream(t.Context(), "A"))
	require.Equal(t, app.ExitFailed, (<-fxApp.Wait()).ExitCode, "it shuts the application down by itself")
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	require.Equal(t, app.ExitFailed, runner.ExitCode())
	require.ErrorContains(t, runner.Err(), "fetch from jetstream")
	require.Equal(t, "one", runner.Reports()[0].Task)
}
