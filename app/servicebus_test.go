package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
	svc "github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
)

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// whereIs is what a service needs of a bus, as it names it itself.
type whereIs interface {
	JetStream(ctx context.Context) (jetstream.JetStream, error)
}

// bucket is a service that lives in the bus, from its start to its stop.
type bucket struct {
	name string
	bus  whereIs
	kv   jetstream.KeyValue
	last error
}

func newBucket(s svc.Setup[spec.KV], bus whereIs) *bucket {
	return &bucket{name: s.Config.Bucket, bus: bus}
}

func (b *bucket) Start(ctx context.Context) error {
	js, err := b.bus.JetStream(ctx)
	if err != nil {
		return err
	}
	b.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: b.name})
	return err
}

func (b *bucket) Stop(ctx context.Context) error {
	_, b.last = b.kv.PutString(ctx, "last", "words")
	return b.last
}

const bucketed = `
services: { regions: { kv: { bucket: REGIONS } } }
tasks: { held: { source: { jetstream: { stream: H, subjects: [h] } } } }
`

var bucketing = fx.Options(
	app.Configured("regions", newBucket),
	app.Tasks(func(*bucket) app.Task { return app.Consume("held", held{}) }),
)

// A service that lives in the bus has it from before the Runner's start to after its end:
// the same one, which is closed then; or one that somebody else opened, and keeps.
func TestServicesShareTheBus(t *testing.T) {
	for _, given := range []bool{false, true} {
		cfg := inFile(t, bucketed)
		opts := app.Options{Config: cfg}
		if given {
			conn, err := app.Open(t.Context(), cfg.Bus, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			opts.Conn = conn
		}
		var (
			runner *app.Runner
			shared *app.Bus
		)
		fxApp := fx.New(bucketing, app.Module, fx.Supply(opts), fx.Populate(&runner, &shared), fx.NopLogger)
		require.NoError(t, fxApp.Err())
		require.NoError(t, fxApp.Start(t.Context()))
		conn, err := shared.Conn(t.Context())
		require.NoError(t, err)
		require.Same(t, runner.Conn(), conn)
		require.True(t, !given || conn == opts.Conn)
		stopping, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), runner.StopTime())
		require.NoError(t, fxApp.Stop(stopping), "the last words of the service are stored")
		cancel()
		require.Equal(t, !given, conn.Status().Closed)
		if given {
			require.NoError(t, opts.Conn.Close(t.Context()))
		}
		withBus(t, cfg, func(b *bus.Bus) { // whose store is free
			kv, err := b.JetStream().KeyValue(t.Context(), "REGIONS")
			require.NoError(t, err)
			e, err := kv.Get(t.Context(), "last")
			require.NoError(t, err)
			require.Equal(t, "words", string(e.Value()))
		})
	}
}

// A start that fails closes it too, whoever opened it; and what asks for it after that is
// told so.
func TestTheBusEndsWithAFailedStart(t *testing.T) {
	cfg := inFile(t, bucketed)
	refused := errors.New("refused")
	var shared *app.Bus
	fxApp := fx.New(bucketing, app.Service(func(*bucket) *geo { return &geo{part{diary: &diary{}, start: refused}} }),
		app.Module, fx.Supply(app.Options{Config: cfg}), fx.Populate(&shared), fx.NopLogger)
	require.ErrorIs(t, fxApp.Start(t.Context()), refused)
	conn, err := shared.Conn(t.Context())
	require.NoError(t, err)
	require.True(t, conn.Status().Closed)
	withBus(t, cfg, func(*bus.Bus) {})

	fxApp = fx.New(app.Registry, fx.Supply(app.Options{Config: cfg}), fx.Populate(&shared), fx.NopLogger)
	require.NoError(t, fxApp.Start(t.Context()))
	require.NoError(t, fxApp.Stop(t.Context()))
	_, err = shared.JetStream(t.Context())
	require.ErrorContains(t, err, "the bus is closed")
	fxApp = fx.New(app.Registry, fx.Populate(&shared), fx.NopLogger)
	require.NoError(t, fxApp.Err())
	_, err = shared.JetStream(t.Context())
	require.ErrorContains(t, err, "supply app.Options")
}

// A signal reaches a service that waits for a bus which is not there.
func TestInterruptEndsTheWaitForABus(t *testing.T) {
	cfg := inFile(t, bucketed)
	cfg.Bus.URL, cfg.Bus.Store, cfg.Bus.ConnectTimeout = "nats://127.0.0.1:1", "", time.Hour
	interrupted, interrupt := context.WithCancel(context.Background())
	fxApp := fx.New(bucketing, app.Module, fx.Supply(app.Options{Config: cfg, Interrupt: interrupted}), fx.NopLogger)
	time.AfterFunc(50*time.Millisecond, interrupt)
	require.ErrorContains(t, fxApp.Start(t.Context()), "service regions: start: connect to NATS", "long before the hour is over")
}

// What does not fit is found before anything is opened, all of it at once.
func TestConfiguredServicesThatDoNotFit(t *testing.T) {
	held := app.Tasks(func() app.Task { return app.Consume("held", held{}) })
	wrong := func(text string, modules ...fx.Option) error {
		err := fx.New(append(modules, held, app.Module, fx.Supply(app.Options{Config: inFile(t, text+"tasks: { held: { source: { jetstream: { stream: H, subjects: [h] } } } }\n")}), fx.NopLogger)...).Err()
		var wiring *app.WiringError
		if errors.As(err, &wiring) {
			return wiring
		}
		return err
	}
	regions, rates := app.Configured("regions", newBucket), app.Configured("rates", newRates)
	require.EqualError(t, wrong("", regions, rates), `service "rates": a module needs it, and it has no configuration: add services.rates.http to the configuration
service "regions": a module needs it, and it has no configuration: add services.regions.kv to the configuration`)
	require.EqualError(t, wrong("services: { regoins: { kv: { bucket: B } } }\n", regions), `service "regions": a module needs it, and it has no configuration: add services.regions.kv to the configuration (did you mean "regoins"?)
service "regoins": it is configured, and no module asks for it with app.Configured; this program has "regions" (did you mean "regions"?)`)
	require.EqualError(t, wrong("services: { regions: { sql: { url: sqlite:f } } }\n", regions), `service "regions": a module needs it to be kv, and the configuration says sql: write services.regions.kv`)
	require.EqualError(t, wrong("services: { regions: { kv: { bucket: B } } }\n"), `service "regions": it is configured, and no module asks for it with app.Configured; this program has none`)
	two := app.Configured("regions", func(svc.Setup[spec.KV]) *geo { return &geo{} })
	require.EqualError(t, wrong("services: { regions: { kv: { bucket: B } } }\n", regions, two), `service "regions": two modules make it: give one of them another name`)
	twice := app.Service(func() (*rates2, error) {
		r, err := newRates(svc.Setup[spec.HTTP]{Name: "rates"})
		return &rates2{r}, err
	})
	require.EqualError(t, wrong("services: { rates: { http: { url: https://h } } }\n", rates, twice),
		`services app_test.rates2 and rates: both are called "rates" by their seams, and their metrics could not be told apart: give one of them another name`)
	for want, constructor := range map[string]any{
		"its first parameter has to be a services.Setup of spec.KV":         func(spec.KV) *bucket { return nil },
		"it takes a constructor":                                            5,
		"func() *app_test.bucket: its first parameter":                      func() *bucket { return nil },
		"failed: the bucket is too small":                                   func(svc.Setup[spec.KV]) (*bucket, error) { return nil, errors.New("the bucket is too small") },
		"service regions: app_test.wrongStop.Stop has the signature func()": func(svc.Setup[spec.KV]) wrongStop { return wrongStop{} },
	} {
		require.ErrorContains(t, wrong("services: { regions: { kv: { bucket: B } } }\n", app.Configured("regions", constructor)), want)
	}
}

type rates2 struct{ *rates }

// A test puts another service in its place, and needs no configuration of it; a command
// that only looks opens nothing.
func TestConfiguredServicesAreReplaced(t *testing.T) {
	const text = "tasks: { held: { source: { jetstream: { stream: H, subjects: [h] } } } }\n"
	var got *bucket
	fake := &bucket{name: "fake"}
	require.NoError(t, fx.New(bucketing, fx.Replace(fake), app.Module, fx.Supply(app.Options{Config: inFile(t, text)}), fx.Populate(&got), fx.NopLogger).Err())
	require.Same(t, fake, got)

	var tasks app.Registered
	require.NoError(t, fx.New(bucketing, app.Registry, fx.Supply(app.Options{Config: inFile(t, bucketed)}), fx.Populate(&tasks), fx.NopLogger).Err())
	require.Len(t, tasks, 1)
	optional := func(s svc.Setup[spec.KV], more ...string) *bucket {
		require.Empty(t, more)
		return &bucket{name: s.Config.Bucket}
	}
	require.NoError(t, fx.New(app.Configured("regions", optional), app.Registry, fx.Supply(app.Options{Config: inFile(t, bucketed)}), fx.Populate(&got), fx.NopLogger).Err())
	require.Equal(t, "REGIONS", got.name)
}
