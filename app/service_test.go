package app_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon/app"
)

// diary notes what services did.
type diary struct {
	mu    sync.Mutex
	notes []string
}

func (d *diary) add(note string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes = append(d.notes, note)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.notes)
}

// part is what three services are made of.
type part struct {
	name   string
	diary  *diary
	start  error
	health func() error
	hangs  chan struct{} // in Stop, until it is closed; nil for not at all
}

func (p *part) Start(context.Context) error {
	p.diary.add("start " + p.name)
	return p.start
}

func (p *part) Stop(context.Context) error {
	p.diary.add("stop " + p.name)
	if p.hangs != nil {
		<-p.hangs
	}
	return nil
}

func (p *part) Health() error {
	if p.health == nil {
		return nil
	}
	return p.health()
}

type (
	pool  struct{ part }
	cache struct{ part }
	geo   struct{ part }
)

// services are declared the other way round than they depend on each other: geo needs
// cache, and cache a pool.
func services(d *diary, change func(*pool, *cache, *geo)) fx.Option {
	p, c, g := &pool{part{name: "pool", diary: d}}, &cache{part{name: "cache", diary: d}}, &geo{part{name: "geo", diary: d}}
	if change != nil {
		change(p, c, g)
	}
	return fx.Options(
		app.Service(func(*cache) *geo { return g }),
		app.NamedService("the cache", func(*pool) (*cache, error) { return c, nil }),
		app.Service(func() *pool { return p }),
	)
}

func held1(t *testing.T) (app.Options, fx.Option) {
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), holds)
	cfg.Admin.Listen = "127.0.0.1:0"
	return app.Options{Config: cfg}, app.Tasks(func() app.Task { return app.Consume("held", held{}) })
}

// Services start in the order of their dependencies and stop in reverse, also those that
// no task needs; their health is that of the process.
func TestServicesStartInOrder(t *testing.T) {
	d := &diary{}
	loading := errors.New("the index is loading")
	opts, task := held1(t)
	var r *app.Runner
	fxApp := fx.New(task, services(d, func(_ *pool, _ *cache, g *geo) { g.health = func() error { return loading } }),
		app.Module, fx.Supply(opts), fx.Populate(&r), fx.NopLogger)
	require.NoError(t, fxApp.Err())
	require.Empty(t, d.all())
	require.NoError(t, fxApp.Start(t.Context()))
	require.Equal(t, []string{"start pool", "start cache", "start geo"}, d.all())
	code, body, err := fetch(t, "http://"+r.AdminAddr()+"/readyz")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Contains(t, body, `"reasons":["service app_test.geo: the index is loading"]`)
	require.Contains(t, body, `"services":[{"check":"app_test.geo","ok":false,"reason":"the index is loading"},{"check":"app_test.pool","ok":true},{"check":"the cache","ok":true}]`)
	require.NoError(t, fxApp.Stop(context.WithoutCancel(t.Context())))
	require.Equal(t, []string{"start pool", "start cache", "start geo", "stop geo", "stop cache", "stop pool"}, d.all())
	require.GreaterOrEqual(t, r.StopTime(), 3*app.ServiceStopTime)
}

// One that fails to start takes those back that were started, and the error names it.
func TestFailedServiceRollsBack(t *testing.T) {
	d := &diary{}
	refused := errors.New("refused")
	opts, task := held1(t)
	fxApp := fx.New(task, services(d, func(_ *pool, _ *cache, g *geo) { g.start = refused }), app.Module, fx.Supply(opts), fx.NopLogger)
	err := fxApp.Start(t.Context())
	require.ErrorIs(t, err, refused)
	require.ErrorContains(t, err, "service app_test.geo: start: refused")
	require.Equal(t, []string{"start pool", "start cache", "start geo", "stop cache", "stop pool"}, d.all())
}

// slowStart is a service that takes its time, and honours its context.
type slowStart struct{ d *diary }

func (s slowStart) Start(ctx context.Context) error {
	s.d.add("start slow")
	<-ctx.Done()
	return context.Cause(ctx)
}

// One that does not start in time is given up early enough for the others to be taken
// back: fx would leave them.
func TestSlowServiceRollsBack(t *testing.T) {
	d := &diary{}
	opts, task := held1(t)
	fxApp := fx.New(task, services(d, nil), app.Service(func(*geo) slowStart { return slowStart{d} }), app.Module, fx.Supply(opts), fx.NopLogger)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := fxApp.Start(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "service app_test.slowStart: start: ")
	require.Equal(t, []string{"start pool", "start cache", "start geo", "start slow", "stop geo", "stop cache", "stop pool"}, d.all())
}

// One that hangs in its stop costs its share and no more, and is named.
func TestHangingServiceIsLeftBehind(t *testing.T) {
	d := &diary{}
	free := make(chan struct{})
	defer close(free)
	opts, task := held1(t)
	fxApp := fx.New(task, services(d, func(_ *pool, c *cache, _ *geo) { c.hangs = free }), app.Module, fx.Supply(opts), fx.NopLogger)
	require.NoError(t, fxApp.Start(t.Context()))
	began := time.Now()
	err := fxApp.Stop(context.WithoutCancel(t.Context()))
	require.ErrorContains(t, err, "service the cache: stop: it has not returned after 5")
	require.ErrorContains(t, err, "was left behind")
	require.GreaterOrEqual(t, time.Since(began), app.ServiceStopTime)
	require.Equal(t, []string{"stop geo", "stop cache", "stop pool"}, d.all()[3:])
}

// A command that only looks makes no service run, nor one that no task needs.
func TestServicesOfACommandThatOnlyLooks(t *testing.T) {
	d := &diary{}
	var tasks app.Registered
	fxApp := fx.New(app.Tasks(func(*cache) app.Task { return app.Consume("held", held{}) }), services(d, nil), app.Registry, fx.Populate(&tasks), fx.NopLogger)
	require.NoError(t, fxApp.Err())
	require.Len(t, tasks, 1)
	require.Empty(t, d.all())
}

type wrongStop struct{}

func (wrongStop) Stop() {}

type nothing struct{}

type panics struct{}

func (panics) Start(context.Context) error { panic("oh") }
func (panics) Health() error               { panic("no") }

// What would never be called is found before anything is opened, and so is what is no
// constructor; a panic is the service's error.
func TestWrongServices(t *testing.T) {
	for want, service := range map[string]fx.Option{
		"service app_test.wrongStop: app_test.wrongStop.Stop has the signature func() and would never be called: make it func(context.Context) error": app.Service(func() wrongStop { return wrongStop{} }),
		"service app_test.nothing: app_test.nothing has none of Start(context.Context) error":                                                         app.Service(func() nothing { return nothing{} }),
		"service error: its constructor returned nil":                                                                                                 app.NamedService("error", func() any { return nil }),
		"app.Service(int): it takes a constructor":                                                                                                    app.Service(5),
		"app.Service(func() error): it takes":                                                                                                         app.Service(func() error { return nil }),
		"app.Service(func()): it takes":                                                                                                               app.Service(func() {}),
	} {
		opts, task := held1(t)
		require.ErrorContains(t, fx.New(task, service, app.Module, fx.Supply(opts), fx.NopLogger).Err(), want)
	}
	opts, task := held1(t)
	fxApp := fx.New(task, app.Service(func() panics { return panics{} }), app.Module, fx.Supply(opts), fx.NopLogger)
	require.ErrorContains(t, fxApp.Start(t.Context()), "service app_test.panics: start: SYSTEM: panic: oh")
}
