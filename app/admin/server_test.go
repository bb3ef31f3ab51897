package admin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/admin"
)

// An address that others reach needs a token, or a second word.
func TestAddresses(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0"} {
		_, err := admin.Start(admin.Config{Listen: listen, Process: newProcess()})
		require.ErrorContains(t, err, `admin: listen on "`+listen+`": that is not loopback, and without a token everybody who reaches it could ask`)
		require.ErrorContains(t, err, "set a token (admin.token, ERGON_ADMIN_TOKEN), listen on 127.0.0.1, or set allow_insecure")
	}
	for _, c := range []admin.Config{
		{Listen: "127.0.0.1:0"}, {Listen: "localhost:0"}, {Listen: "0.0.0.0:0", Token: "t"}, {Listen: ":0", AllowInsecure: true},
	} {
		c.Process = newProcess()
		s := start(t, c)
		require.NotContains(t, s.Addr(), ":0", "the port that it took")
	}
	s := start(t, admin.Config{Process: newProcess()})
	_, err := admin.Start(admin.Config{Listen: s.Addr(), Process: newProcess()})
	require.ErrorContains(t, err, "address already in use: choose another address (admin.listen), or off for none")
	_, err = admin.Start(admin.Config{Listen: "nonsense", Token: "t", Process: newProcess()})
	require.ErrorContains(t, err, "nonsense")
	_, err = admin.Start(admin.Config{Listen: "127.0.0.1:0"})
	require.EqualError(t, err, "admin: there is no process to ask")
}

// Who brings no token, or a wrong one, learns from probes what probes need, and
// nothing else.
func TestToken(t *testing.T) {
	p := newProcess()
	s := start(t, admin.Config{Process: p, Token: "hunter2", Pprof: true})
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/status", "/metrics", "/why?id=a", "/debug/pprof/", "/debug/pprof/heap"} {
		public := strings.HasSuffix(path, "z")
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer hunter", "Bearer hunter22", "Basic hunter2", "hunter2", "Bearer Hunter2"} {
			resp, body := s.ask(http.MethodGet, path, func(r *http.Request) { r.Header.Set("Authorization", header) })
			require.NotContains(t, body, "hunter")
			if public {
				require.Equal(t, http.StatusOK, resp.StatusCode, path)
				require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
				continue
			}
			require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "%s %q", path, header)
			require.Equal(t, `Bearer realm="ergon"`, resp.Header.Get("WWW-Authenticate"))
			require.Contains(t, body, "send Authorization: Bearer TOKEN")
		}
		for _, header := range []string{"Bearer hunter2", "bearer  hunter2"} {
			resp, _ := s.ask(http.MethodGet, path, func(r *http.Request) { r.Header.Set("Authorization", header) })
			require.NotEqual(t, http.StatusUnauthorized, resp.StatusCode, path)
		}
	}
	p.state.Store(admin.Stopping)
	resp, body := s.ask(http.MethodGet, "/readyz", func(r *http.Request) { r.Header.Del("Authorization") })
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.Equal(t, "not ready\n", body)
	code, ready := into[admin.Readiness](s, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, []string{"the process is stopping"}, ready.Reasons)
}

// What can't be answered says what could.
func TestWrongQuestions(t *testing.T) {
	s := start(t, admin.Config{Process: newProcess()})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp, body := s.ask(method, "/status", nil)
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		require.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
		require.Equal(t, method+" is not answered here: nothing can be changed, ask with GET\n", body)
	}
	for path, want := range map[string]string{
		"/":                 "there is nothing here: ask for /livez, /readyz, /startupz, /status, /why, /metrics\n",
		"/livez/":           "there is nothing here: ask for /livez, /readyz, /startupz, /status, /why, /metrics\n",
		"/debug/pprof/heap": "profiles are not switched on: set admin.pprof, or run with --pprof\n",
		"/metrics":          "there are no metrics here: this program gives its admin server no handler for them (admin.Config.Metrics)\n",
		"/../../etc/passwd": "there is nothing here: ask for /livez, /readyz, /startupz, /status, /why, /metrics\n",
	} {
		code, body := s.get(path)
		require.Equal(t, http.StatusNotFound, code, path)
		require.Equal(t, want, body)
	}
	code, body := s.get("/why")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "ask for /why?id=ID")

	// HEAD is GET without the body.
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/status": 200, "/why?id=x": 404, "/nothing": 404} {
		head, body := s.ask(http.MethodHead, path, nil)
		require.Equal(t, want, head.StatusCode, path)
		require.Empty(t, body)
		get, _ := s.ask(http.MethodGet, path, nil)
		require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"))
		require.Equal(t, "no-store", head.Header.Get("Cache-Control"))
	}
	// A body is not waited for, and ends the connection.
	resp, _ := s.ask(http.MethodPost, "/livez", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 })
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	require.True(t, resp.Close)
	// Headers without end are not read.
	resp, _ = s.ask(http.MethodGet, "/livez", func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 64<<10)) })
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
}

// A page whose name was made to resolve to this machine gets nothing.
func TestForeignHosts(t *testing.T) {
	s := start(t, admin.Config{Process: newProcess()})
	for host, want := range map[string]int{
		"evil.example": 403, "evil.example:9400": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403,
		"localhost": 200, "LOCALHOST:1": 200, "127.0.0.1": 200, "[::1]:9400": 200, "[::1]": 200, "10.0.0.1:9400": 200,
	} {
		resp, body := s.ask(http.MethodGet, "/status", func(r *http.Request) { r.Host = host })
		require.Equal(t, want, resp.StatusCode, "%s: %s", host, body)
	}
	s = start(t, admin.Config{Process: newProcess(), Token: "t"}) // the page has no token
	resp, _ := s.ask(http.MethodGet, "/status", func(r *http.Request) { r.Host = "ergon.internal" })
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestMetricsAndProfiles(t *testing.T) {
	s := start(t, admin.Config{Process: newProcess(), Pprof: true, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("up 1\n"))
	})})
	code, body := s.get("/metrics")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "up 1\n", body)
	code, body = s.get("/debug/pprof/")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "\ngoroutine\n")
	resp, body := s.ask(http.MethodGet, "/debug/pprof/heap", nil)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(body, "\x1f\x8b"), "a compressed profile")
	code, body = s.get("/debug/pprof")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "\ngoroutine\n")
	code, body = s.get("/debug/pprofx")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, body, "there is nothing here")
	_, body = s.get("/debug/pprof/goroutine?debug=2")
	require.Contains(t, body, "goroutine ")
	for path, want := range map[string]int{
		"/debug/pprof/nothing": 404, "/debug/pprof/profile?seconds=x": 400, "/debug/pprof/trace?seconds=-1": 400,
		"/debug/pprof/profile?seconds=1e9": 400, "/debug/pprof/profile?seconds=NaN": 400, "/debug/pprof/trace?seconds=0.01": 200,
	} {
		code, body := s.get(path)
		require.Equal(t, want, code, "%s: %s", path, body)
	}
}

// Close ends what takes long, waits for nobody who says nothing, and may be called by
// many.
func TestClose(t *testing.T) {
	server, err := admin.Start(admin.Config{Listen: "127.0.0.1:0", Process: newProcess(), Pprof: true})
	require.NoError(t, err)
	answered := make(chan int)
	s := &site{t: t, Server: server}
	go func() {
		code := http.StatusConflict
		for code == http.StatusConflict { // with those that look whether it runs
			code, _ = s.get("/debug/pprof/trace?seconds=300")
		}
		answered <- code
	}()
	require.Eventually(t, func() bool { code, _ := s.get("/debug/pprof/trace?seconds=0.001"); return code == http.StatusConflict },
		patience, time.Millisecond, "it runs")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { require.NoError(t, server.Close(ctx)) })
	}
	require.Equal(t, http.StatusOK, <-answered)
	wg.Wait()
	_, err = http.Get("http://" + server.Addr() + "/livez") //nolint:noctx // nobody is there
	require.Error(t, err)
}
