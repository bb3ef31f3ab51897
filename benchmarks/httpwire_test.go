package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/benchmarks/harness"
	"github.com/ergon-framework/ergon/benchmarks/raw"
	"github.com/ergon-framework/ergon/benchmarks/web"
	"github.com/ergon-framework/ergon/benchmarks/work"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// The yardsticks do what Ergon does as long as they write the same headers, and answer in
// the same way.
func TestSameWireOverHTTP(t *testing.T) {
	srv, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(srv.Shutdown)
	nc, err := nats.Connect(srv.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)

	stored := func(name string, run harness.Contender) (header nats.Header, answer http.Header, body string) {
		s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}})
		require.NoError(t, err)
		job := &work.Job{URL: srv.URL(), Output: name, OutputStream: name, Window: 64}
		inProcess(t, run, job, func(url string) {
			r, err := http.NewRequestWithContext(t.Context(), "POST", url, bytes.NewReader(work.Encoded(7)))
			require.NoError(t, err)
			r.Header.Set("Content-Type", work.ContentType)
			r.Header.Set("Idempotency-Key", work.Key(7))
			r.Close = true
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, errors.Join(err, resp.Body.Close()))
			require.Equal(t, 202, resp.StatusCode, string(text))
			answer, body = resp.Header, string(text)
		})
		m, err := s.GetMsg(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, string(work.Encoded(7)), string(m.Data))
		return m.Header, answer, body
	}
	rawHeader, rawAnswer, rawBody := stored("raw", raw.RunHTTPSource)
	header, answer, body := stored("ergon", web.RunSource)
	alike(t, header, rawHeader, "ce-time")
	alike(t, answer, rawAnswer, "Date")
	require.Equal(t, body, rawBody)
}

func TestSameRequestsOverHTTP(t *testing.T) {
	sent := func(run harness.Contender) (all map[string]http.Header) {
		all = map[string]http.Header{}
		var mu sync.Mutex
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			all[r.Method+" "+r.URL.Path+" "+string(body)] = r.Header
		})}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		job := &work.Job{Target: "http://" + l.Addr().String() + work.Path, Concurrency: 4, Inputs: 20}
		inProcess(t, run, job, func(string) {})
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
		return all
	}
	byHand, byErgon := sent(raw.RunHTTPSink), sent(web.RunSink)
	require.Len(t, byErgon, 20)
	require.Len(t, byHand, 20)
	for request, header := range byErgon {
		require.Contains(t, byHand, request)
		alike(t, header, byHand[request], "Ce-Time")
	}
}

// alike holds headers against each other, but for the values of some.
func alike(t *testing.T, want, got map[string][]string, but ...string) {
	t.Helper()
	for _, name := range but {
		require.Len(t, want[name], 1, name)
		require.Len(t, got[name], 1, name)
		delete(want, name)
		delete(got, name)
	}
	require.Equal(t, want, got)
}

// inProcess runs a contender here, calls f with what it says, and ends it.
func inProcess(t *testing.T, run harness.Contender, job *work.Job, f func(url string)) {
	t.Helper()
	said := make(chan string, 1)
	job.Say = func(url string) error {
		said <- url
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, job) }()
	select {
	case url := <-said:
		f(url)
	case err := <-ended:
		require.NoError(t, err)
		require.FailNow(t, "it ended before it said anything")
	}
	stop()
	require.NoError(t, <-ended)
}
