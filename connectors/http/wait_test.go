package http_test

import (
	"context"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// routes are a server's without a network, so that its waits are in virtual time.
func routes(t *testing.T, to http.Target, wait time.Duration) func(ctx context.Context, key string) <-chan response {
	t.Helper()
	server, err := http.NewServer(http.ServerConfig{}, nil)
	require.NoError(t, err)
	require.NoError(t, server.Add(http.Route{Path: "/in", Wait: wait, Auth: http.Auth{Anonymous: true}}, to))
	handler, err := server.Handler()
	require.NoError(t, err)
	return func(ctx context.Context, key string) <-chan response {
		req := httptest.NewRequestWithContext(ctx, "POST", "/in", strings.NewReader("x"))
		if key != "" {
			req.Header = nethttp.Header{"Idempotency-Key": {key}}
		}
		c := make(chan response, 1)
		go func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			c <- response{w.Result(), w.Body.String()}
		}()
		return c
	}
}

// A sink that says nothing is waited for as long as the route says. What it says later
// finds nobody.
func TestGivesUpASilentSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{hold: make(chan struct{}), begun: make(chan struct{}, 1)}
		receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
		require.NoError(t, err)
		post := routes(t, receiver, 3*time.Second)
		began := time.Now()
		(<-post(t.Context(), "")).problem(t, 503, "not confirmed in time")
		require.Equal(t, 3*time.Second, time.Since(began))
		close(s.hold)
		synctest.Wait()
		require.Len(t, s.stored(), 1)
	})
}

// Who has waited for too long gets a 503. What no engine has by then is never begun; what
// one has goes on, and the answer says so.
func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := http.NewSource(http.SourceConfig{})
		post := routes(t, source, 10*time.Second)
		began := time.Now()
		resp := <-post(t.Context(), "")
		resp.problem(t, 503, "not begun in time")
		require.Equal(t, "1", resp.Header.Get("Retry-After"))
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Zero(t, source.Lag().Pending)

		held := post(t.Context(), "")
		d := fetch(t, source)
		late := <-held
		late.problem(t, 503, "it may be done yet")
		require.Equal(t, d.Transaction().ID(), late.transaction(t))
		require.NoError(t, d.Extend(t.Context()), "the work goes on")
		settle(t, d, ack())

		released := post(t.Context(), "")
		settle(t, fetch(t, source), ergon.Settlement{Kind: ergon.Release, After: time.Minute})
		require.EqualValues(t, 1, source.Lag().Parked)
		(<-released).problem(t, 503, "not begun in time")
		require.Zero(t, source.Lag().Parked)
	})
}

// A request whose client left is begun within its wait, and not after it. One that is
// joined to another is begun for as long as one of both waits.
func TestWaitsOfWhoLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := http.NewSource(http.SourceConfig{})
		post := routes(t, source, 10*time.Second)
		leave := func() {
			ctx, cancel := context.WithCancel(t.Context())
			c := post(ctx, "")
			synctest.Wait()
			cancel()
			<-c
		}
		leave()
		time.Sleep(9 * time.Second)
		settle(t, fetch(t, source), ack())
		leave()
		time.Sleep(11 * time.Second)
		require.EqualValues(t, 1, source.Lag().Pending)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := source.Fetch(short, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, source.Lag().Pending)

		one := post(t.Context(), "k")
		time.Sleep(6 * time.Second)
		two := post(t.Context(), "k")
		time.Sleep(6 * time.Second)
		(<-one).problem(t, 503, "may be done yet")
		settle(t, fetch(t, source), ack())
		require.Equal(t, 204, (<-two).StatusCode)
	})
}
