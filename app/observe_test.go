package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/admin"
	"github.com/ergon-framework/ergon/app/config"
)

// fetch asks an admin server.
func fetch(t *testing.T, url string) (code int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func newRunner(t *testing.T, opts app.Options, tasks fx.Option) *app.Runner {
	t.Helper()
	var r *app.Runner
	require.NoError(t, fx.New(tasks, app.Registry, fx.Provide(app.NewRunner), fx.Supply(opts), fx.Populate(&r), fx.NopLogger).Err())
	return r
}

const holds = `
  held:
    source: { jetstream: { stream: H, subjects: [h] } }
    consumer: { shutdown: { grace: 20s } }
`

type held struct{ began, finish chan struct{} }

func (h held) Process(context.Context, ergon.Transaction[[]byte]) (ergon.None, error) {
	close(h.began)
	<-h.finish
	return ergon.None{}, nil
}

// A run answers from its start to the end of its stop, and nobody after that.
func TestAdminServesARun(t *testing.T) {
	require.Equal(t, admin.DefaultListen, config.DefaultAdminListen, "two that don't know each other")
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), holds)
	cfg.Admin.Listen = "127.0.0.1:0"
	h := held{make(chan struct{}), make(chan struct{})}
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(func() app.Task { return app.Consume("held", h) }))
	require.Empty(t, r.AdminAddr())
	require.NoError(t, r.Start(t.Context()))
	base := "http://" + r.AdminAddr()
	for path, want := range map[string]string{"/startupz": "started\n", "/livez": "ok\n", "/metrics": `ergon_ready{ergon_task="held"} 1`, "/readyz": `"check":"bus","ok":true`} {
		code, body, err := fetch(t, base+path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code, body)
		require.Contains(t, body, want)
	}
	_, err := r.Conn().JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "h", Data: []byte("x")})
	require.NoError(t, err)
	<-h.began
	stopped := make(chan error)
	go func() { stopped <- r.Stop(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool {
		code, body, err := fetch(t, base+"/readyz")
		return err == nil && code == http.StatusServiceUnavailable && strings.Contains(body, "the process is stopping")
	}, 30*time.Second, 10*time.Millisecond)
	code, _, err := fetch(t, base+"/livez")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code, "who drains is not killed")
	close(h.finish)
	require.NoError(t, <-stopped)
	_, _, err = fetch(t, base+"/livez")
	require.Error(t, err)
}

// An address that somebody chose and that is taken is an error; of the default one a
// warning is enough.
func TestAdminAddressTaken(t *testing.T) {
	var logged strings.Builder
	run := func(change func(*config.Admin)) (*app.Runner, error) {
		cfg := parse(t, filepath.Join(t.TempDir(), "store"), holds)
		change(&cfg.Admin)
		logged.Reset()
		r := newRunner(t, app.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(&logged, nil))},
			app.Tasks(func() app.Task { return app.Consume("held", held{}) }))
		err := r.Start(t.Context())
		if err == nil {
			require.NoError(t, r.Stop(t.Context()))
		}
		return r, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	require.NoError(t, err)
	defer ln.Close() //nolint:errcheck // of a test
	_, err = run(func(a *config.Admin) { a.Listen = ln.Addr().String() })
	require.ErrorContains(t, err, "admin: listen tcp "+ln.Addr().String())
	require.ErrorContains(t, err, "choose another address (admin.listen), or off for none")

	r, err := run(func(a *config.Admin) { a.Listen = config.ListenOff })
	require.NoError(t, err)
	require.Empty(t, r.AdminAddr())
	require.NotContains(t, logged.String(), "admin")

	// Somebody else on this machine may have the default one already: as well.
	other, err := net.Listen("tcp", config.DefaultAdminListen) //nolint:noctx // of a test
	if err == nil {
		defer other.Close() //nolint:errcheck // of a test
	}
	for range 1000 { // and may have given it back in between
		r, err = run(func(*config.Admin) {})
		require.NoError(t, err)
		if r.AdminAddr() == "" {
			break
		}
	}
	require.Empty(t, r.AdminAddr())
	require.Contains(t, logged.String(), "level=WARN msg=\"there is no admin server: its default address can't be had")
}

// A start that hangs is told of, and one that fails leaves nobody who answers.
func TestAdminWhileStarting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is NATS, and says nothing
	require.NoError(t, err)
	defer silent.Close()                          //nolint:errcheck // of a test
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	require.NoError(t, err)
	require.NoError(t, free.Close())
	cfg := parse(t, "", holds)
	cfg.Bus.URL, cfg.Bus.ConnectTimeout, cfg.Admin.Listen = "nats://"+silent.Addr().String(), time.Minute, free.Addr().String()
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(func() app.Task { return app.Consume("held", held{}) }))
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error)
	go func() { started <- r.Start(ctx) }()
	require.Eventually(t, func() bool {
		code, body, err := fetch(t, "http://"+cfg.Admin.Listen+"/startupz")
		return err == nil && code == http.StatusServiceUnavailable && body == "starting\n"
	}, 30*time.Second, 10*time.Millisecond)
	_, body, err := fetch(t, "http://"+cfg.Admin.Listen+"/readyz")
	require.NoError(t, err)
	require.Contains(t, body, `"reasons":["the process is starting","bus: it is not connected yet"]`)
	cancel()
	require.Error(t, <-started)
	_, _, err = fetch(t, "http://"+cfg.Admin.Listen+"/livez")
	require.Error(t, err)
}
