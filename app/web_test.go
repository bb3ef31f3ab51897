package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/bus"
)

// webConfig is a configuration whose two servers take free ports.
func webConfig(t *testing.T, tasks string) *config.Config {
	t.Helper()
	cfg := parse(t, filepath.Join(t.TempDir(), "store"), tasks)
	cfg.Admin.Listen, cfg.HTTP.Address = "127.0.0.1:0", "127.0.0.1:0"
	return cfg
}

// start starts a runner, and stops it with the test if that has not.
func start(t *testing.T, cfg *config.Config, make ...any) *app.Runner {
	t.Helper()
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(make...))
	require.NoError(t, r.Start(t.Context()))
	t.Cleanup(func() { stop(t, r) })
	return r
}

func stop(t *testing.T, r *app.Runner) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, r.Stop(ctx))
}

// ask sends a request and returns the answer.
func ask(t *testing.T, r *app.Runner, method, path, body string, headers ...string) (code int, header http.Header, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, "http://"+r.HTTPAddr()+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(data)
}

const answers = `
  up:
    source: { http: { mode: result, routes: [{ path: /up }] } }
`

// A caller is answered by the task; what is not bound is the answer alone. Both servers
// say how it is, also while it stops: what began is finished, and nothing new is taken.
func TestAnswersCallers(t *testing.T) {
	cfg := webConfig(t, answers+`    consumer: { shutdown: { grace: 20s } }
`)
	h := &holding{began: make(chan struct{}), finish: make(chan struct{})}
	r := start(t, cfg, func() app.Task { return app.Consume("up", h) })
	code, _, text := ask(t, r, "POST", "/up", `"hi"`)
	require.Equal(t, 200, code, text)
	require.Equal(t, `"HI"`, text)
	code, _, text = ask(t, r, "POST", "/up", `1`)
	require.Equal(t, 422, code, text)
	code, _, _ = ask(t, r, "POST", "/elsewhere", `1`)
	require.Equal(t, 404, code)
	code, text, err := fetch(t, "http://"+r.AdminAddr()+"/readyz")
	require.NoError(t, err)
	require.Equal(t, 200, code, text)
	require.Contains(t, text, `{"check":"http","ok":true}`)

	answered := make(chan string, 1)
	go func() {
		code, _, text := ask(t, r, "POST", "/up", `"hold"`)
		if code != 200 {
			t.Errorf("%d: %s", code, text)
		}
		answered <- text
	}()
	<-h.began
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop(t, r) }()
	require.Eventually(t, func() bool {
		code, text, err := fetch(t, "http://"+r.AdminAddr()+"/readyz")
		return err == nil && code == 503 && strings.Contains(text, `"check":"http","ok":false,"reason":"http server: it is stopping"`)
	}, 30*time.Second, 10*time.Millisecond)
	code, _, text = ask(t, r, "POST", "/up", `"late"`)
	require.Equal(t, 503, code, text)
	require.Contains(t, text, "stopping")
	close(h.finish)
	require.Equal(t, `"HOLD"`, <-answered)
	<-stopped
	require.Zero(t, r.ExitCode())
}

// holding is upper, which waits in one transaction.
type holding struct {
	upper
	began, finish chan struct{}
}

func (h *holding) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	if tx.Payload() == "hold" {
		close(h.began)
		<-h.finish
	}
	return h.upper.Process(ctx, tx)
}

// A task that has ended leaves nobody waiting, though others go on.
func TestTaskThatEndedAnswersNobody(t *testing.T) {
	cfg := webConfig(t, answers+`    consumer: { loop: { limit: 1 } }
  other:
    source: { http: { mode: result, routes: [{ path: /other }] } }
`)
	r := start(t, cfg, func() app.Task { return app.Consume("up", upper{}) }, func() app.Task { return app.Consume("other", upper{"!"}) })
	code, _, text := ask(t, r, "POST", "/up", `"a"`)
	require.Equal(t, 200, code, text)
	require.Eventually(t, func() bool { return len(r.Reports()) == 1 }, 30*time.Second, 10*time.Millisecond)
	code, _, text = ask(t, r, "POST", "/up", `"b"`)
	require.Equal(t, 503, code, text)
	code, _, text = ask(t, r, "POST", "/other", `"c"`)
	require.Equal(t, 200, code, text)
	require.Equal(t, `"C!"`, text)
}

const stores = `
  in:
    source:
      http:
        routes: [{ path: /in, auth: { bearer: [{ principal: me, token: 0123456789abcdef }] } }]
        records: { bucket: REQUESTS, ttl: 1h }
      jetstream: { stream: IN, subjects: [in] }
    routes: { out: { jetstream: { stream: OUT, subject: out } } }
`

// What is stored is processed, a retry is stored once, and whoever sent it can ask what
// became of it, through a restart of everything.
func TestStoresRequests(t *testing.T) {
	cfg := webConfig(t, stores)
	me := []string{"Authorization", "Bearer 0123456789abcdef"}
	make := func() app.Task { return app.Consume("in", picky{}) }
	r := start(t, cfg, make)
	code, _, text := ask(t, r, "POST", "/in", `"a"`)
	require.Equal(t, 401, code, text)
	code, header, text := ask(t, r, "POST", "/in", `"a"`, append(me, "Idempotency-Key", "k")...)
	require.Equal(t, 202, code, text)
	good := header.Get("Location")
	_, header, _ = ask(t, r, "POST", "/in", `"bad"`, me...)
	bad := header.Get("Location")
	state := func(r *app.Runner, at, want string) (reason string) {
		require.Eventually(t, func() bool {
			code, _, text := ask(t, r, "GET", at, "", me...)
			require.Equal(t, 200, code, text)
			var told struct{ State, Reason string }
			require.NoError(t, json.Unmarshal([]byte(text), &told))
			reason = told.Reason
			return told.State == want
		}, 30*time.Second, 10*time.Millisecond, at)
		return reason
	}
	state(r, good, "succeeded")
	require.Equal(t, "BUSINESS in process: it is bad", state(r, bad, "dead"))
	stop(t, r)

	r = start(t, cfg, make)
	state(r, good, "succeeded")
	code, header, text = ask(t, r, "POST", "/in", `"a"`, append(me, "Idempotency-Key", "k")...)
	require.Equal(t, 202, code, text)
	require.Equal(t, good, header.Get("Location"))
	code, _, text = ask(t, r, "POST", "/in", `"b"`, append(me, "Idempotency-Key", "k")...)
	require.Equal(t, 422, code, text)
	stop(t, r)
	withBus(t, cfg, func(b *bus.Bus) {
		for name, n := range map[string]uint64{"IN": 2, "OUT": 1} {
			s, err := b.JetStream().Stream(t.Context(), name)
			require.NoError(t, err)
			require.Equal(t, n, s.CachedInfo().State.Msgs, name)
		}
	})
}

type picky struct{ upper }

func (p picky) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	if tx.Payload() == "bad" {
		return "", ergon.Business("it is bad")
	}
	return p.upper.Process(ctx, tx)
}

// A transaction is one in a trace from a stream over HTTP to another stream, and keeps
// its ID on the way to a peer.
func TestOneTraceOverHTTP(t *testing.T) {
	var to atomic.Pointer[url.URL]
	between := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to.Load()) }})
	defer between.Close()
	cfg := webConfig(t, `
  one:
    source: { jetstream: { stream: A, subjects: [a] } }
    routes: { next: { http: { url: "`+between.URL+`/next" } } }
  two:
    source:
      http: { routes: [{ path: /next, peer: true }] }
      jetstream: { stream: B, subjects: [b] }
    routes: { out: { jetstream: { stream: C, subject: c } } }
`)
	r := start(t, cfg, func() app.Task { return app.Consume("one", upper{"1"}) }, func() app.Task { return app.Consume("two", upper{"2"}) })
	to.Store(&url.URL{Scheme: "http", Host: r.HTTPAddr()})
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	_, err := r.Conn().JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "a", Data: []byte(`"x"`), Header: nats.Header{"traceparent": {trace}}})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.Snapshots()[1].Succeeded == 1 }, 30*time.Second, 10*time.Millisecond)
	stop(t, r)
	withBus(t, cfg, func(b *bus.Bus) {
		of := func(stream string) (found *nats.Msg) {
			require.NoError(t, b.Scan(t.Context(), stream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
				require.Nil(t, found)
				found = m
				return nil
			}))
			return found
		}
		middle, end := of("B"), of("C")
		require.Equal(t, `"X12"`, string(end.Data))
		require.Equal(t, middle.Header.Get("ce-id"), end.Header.Get("ce-causationid"))
		require.Contains(t, middle.Header.Get("ce-source"), "/one", "a peer's event keeps its source")
		for _, m := range []*nats.Msg{middle, end} {
			require.Equal(t, trace[:35], m.Header.Get("traceparent")[:35])
		}
	})
}

// A reply that the task does not have is found at the start, and one of several is the
// answer, also where another is stored.
func TestReplyIsOneOfTheRoutes(t *testing.T) {
	cfg := webConfig(t, `
  s:
    source: { http: { mode: result, routes: [{ path: /s, reply: b }] } }
    routes: { a: { jetstream: { stream: A, subject: a } } }
`)
	make := func() app.Task { return app.Consume("s", sender{}, app.Routes("a", "b")) }
	r := start(t, cfg, make)
	code, _, text := ask(t, r, "POST", "/s", `"x"`)
	require.Equal(t, 200, code, text)
	require.Equal(t, `"2"`, text)
	info, err := r.Conn().JetStream().Stream(t.Context(), "A")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.CachedInfo().State.Msgs, "before the answer")

	cfg.Tasks["s"].Source.HTTP.Routes[0].Reply = "bb"
	err = fx.New(app.Tasks(make), app.Registry, fx.Provide(app.NewRunner), fx.Supply(app.Options{Config: cfg}), fx.Invoke(func(*app.Runner) {}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "s": the answer is to be what it sends on route "bb", and it has "a", "b"`)
}

// A start whose port is taken ends with the reason, and leaves nothing open.
func TestPortIsTaken(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nobody connected
	cfg := webConfig(t, stores)
	cfg.HTTP.Address = l.Addr().String()
	r := newRunner(t, app.Options{Config: cfg}, app.Tasks(func() app.Task { return app.Consume("in", upper{}) }))
	err = r.Start(t.Context())
	require.ErrorContains(t, err, "http server: listen on")
	<-r.Done()
	stop(t, r)
}

// Until it is empty, what was stored is worked off without a server; a source that only
// answers is refused.
func TestUntilEmptyTakesNoRequests(t *testing.T) {
	cfg := webConfig(t, stores)
	r := newRunner(t, app.Options{Config: cfg, UntilEmpty: true}, app.Tasks(func() app.Task { return app.Consume("in", upper{}) }))
	require.NoError(t, r.Start(t.Context()))
	require.Empty(t, r.HTTPAddr())
	<-r.Done()
	stop(t, r)

	err := fx.New(app.Tasks(func() app.Task { return app.Consume("up", upper{}) }), app.Registry, fx.Provide(app.NewRunner),
		fx.Supply(app.Options{Config: webConfig(t, answers), UntilEmpty: true}), fx.Invoke(func(*app.Runner) {}), fx.NopLogger).Err()
	require.ErrorContains(t, err, `task "up": its source is http, whose callers wait for answers: it is never empty`)
}

// obedient waits in one transaction, for as long as it may.
type obedient struct {
	upper
	began chan struct{}
}

func (o obedient) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	if tx.Payload() == "hold" {
		close(o.began)
		<-ctx.Done()
		return "", ctx.Err()
	}
	return o.upper.Process(ctx, tx)
}

// A forced end waits neither for a task nor for a client that never ends its body; who
// waits for an answer is told to come again.
func TestForcedEndAnswersCallers(t *testing.T) {
	cfg := webConfig(t, answers+`    consumer: { shutdown: { grace: 5m } }
`)
	o := obedient{began: make(chan struct{})}
	r := start(t, cfg, func() app.Task { return app.Consume("up", o) })
	slow, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.HTTPAddr())
	require.NoError(t, err)
	defer slow.Close() //nolint:errcheck // the server has closed it
	_, err = io.WriteString(slow, "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab")
	require.NoError(t, err)
	answered := make(chan int, 1)
	go func() {
		code, _, _ := ask(t, r, "POST", "/up", `"hold"`)
		answered <- code
	}()
	<-o.began
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(context.WithoutCancel(t.Context())) }()
	require.Eventually(t, func() bool {
		code, _, _ := ask(t, r, "POST", "/up", `"late"`)
		return code == 503
	}, 30*time.Second, 10*time.Millisecond)
	r.Abort()
	require.Equal(t, 503, <-answered)
	require.NoError(t, <-stopped)
	_, err = io.Copy(io.Discard, slow) // it is closed, and a test of its own would wait here for ever if not
	if err != nil {
		require.ErrorContains(t, err, "reset")
	}
}
