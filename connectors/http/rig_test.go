package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

const patience = 30 * time.Second

// A shelf is a sink that stores each ID once, and knows what it stored. It may be told to
// fail, or to keep its answers back.
type shelf struct {
	mu     sync.Mutex
	all    []ergon.Raw
	sends  int
	fail   error
	gone   bool          // what is stored can't be looked up
	hold   chan struct{} // answers come once it is closed
	begun  chan struct{} // receives for each send that is held
	panics bool
	sick   error
}

func (s *shelf) SendOnce(ctx context.Context, tx ergon.Raw, done func(func(context.Context) (ergon.Raw, bool, error), error)) {
	s.mu.Lock()
	hold, fail, panics := s.hold, s.fail, s.panics
	s.sends++
	s.mu.Unlock()
	if panics {
		panic("the sink is broken")
	}
	if hold != nil {
		go func() {
			s.begun <- struct{}{}
			<-hold
			s.store(tx, fail, done)
		}()
		return
	}
	s.store(tx, fail, done)
}

func (s *shelf) store(tx ergon.Raw, fail error, done func(func(context.Context) (ergon.Raw, bool, error), error)) {
	if fail != nil {
		done(nil, fail)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, had := range s.all {
		if had.ID() == tx.ID() {
			gone := s.gone
			done(func(context.Context) (ergon.Raw, bool, error) { return had, !gone, nil }, nil)
			return
		}
	}
	s.all = append(s.all, tx)
	done(nil, nil)
}

func (s *shelf) Send(ctx context.Context, tx ergon.Raw, done func(error)) {
	s.SendOnce(ctx, tx, func(_ func(context.Context) (ergon.Raw, bool, error), err error) { done(err) })
}

func (s *shelf) Close(context.Context) error { return nil }
func (s *shelf) Health() error               { return s.sick }

func (s *shelf) stored() []ergon.Raw {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ergon.Raw(nil), s.all...)
}

func (s *shelf) change(f func(s *shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// A rig is a server on loopback, and a client.
type rig struct {
	*http.Server
	t      testing.TB
	client *nethttp.Client
	scheme string
}

// serve starts a server with what add adds to it.
func serve(t testing.TB, cfg http.ServerConfig, add func(s *http.Server)) *rig {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1:0"
	}
	s, err := http.NewServer(cfg, nil)
	require.NoError(t, err)
	add(s)
	require.NoError(t, s.Start(t.Context()))
	transport := &nethttp.Transport{MaxIdleConnsPerHost: 512}
	r := &rig{Server: s, t: t, client: &nethttp.Client{Transport: transport}, scheme: "http://"}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return r
}

// receiving is a server with one route to a shelf.
func receiving(t testing.TB, shelf *shelf, route http.Route) *rig {
	t.Helper()
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: shelf})
	require.NoError(t, err)
	return serve(t, http.ServerConfig{}, func(s *http.Server) { require.NoError(t, s.Add(route, receiver)) })
}

// A response is one that was read.
type response struct {
	*nethttp.Response
	body string
}

// transaction is what the body says.
func (r response) transaction(t testing.TB) string {
	t.Helper()
	var told struct{ Transaction string }
	require.NoError(t, json.Unmarshal([]byte(r.body), &told), r.body)
	return told.Transaction
}

// problem holds a response against RFC 9457.
func (r response) problem(t testing.TB, status int, detail string) {
	t.Helper()
	require.Equal(t, status, r.StatusCode, r.body)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	var told struct {
		Type, Title, Detail string
		Status              int
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &told), r.body)
	require.Equal(t, status, told.Status)
	require.Equal(t, nethttp.StatusText(status), told.Title)
	require.Contains(t, told.Detail, detail)
}

// headers are names and values in turn.
func (r *rig) request(method, path, body string, headers ...string) *nethttp.Request {
	r.t.Helper()
	req, err := nethttp.NewRequestWithContext(r.t.Context(), method, r.scheme+r.Addr().String()+path, bytes.NewReader([]byte(body)))
	require.NoError(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header[nethttp.CanonicalHeaderKey(headers[i])] = append(req.Header[nethttp.CanonicalHeaderKey(headers[i])], headers[i+1])
	}
	return req
}

func (r *rig) do(req *nethttp.Request) response {
	r.t.Helper()
	resp, err := r.client.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return response{resp, string(body)}
}

func (r *rig) post(path, body string, headers ...string) response {
	r.t.Helper()
	return r.do(r.request("POST", path, body, headers...))
}

// later is a post whose response comes some time.
func (r *rig) later(path, body string, headers ...string) <-chan response {
	req := r.request("POST", path, body, headers...)
	c := make(chan response, 1)
	go func() {
		resp, err := r.client.Do(req)
		if err != nil {
			close(c)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // it was only read
		body, _ := io.ReadAll(resp.Body)
		c <- response{resp, string(body)}
	}()
	return c
}

// eventually waits for what has to come.
func eventually(t testing.TB, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !cond(); <-tick.C {
		require.Less(t, time.Since(began), patience, "waited in vain")
	}
}

func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v, ok := <-c:
		require.True(t, ok, "it ended without a value")
		return v
	case <-time.After(patience):
		require.FailNow(t, "waited in vain")
		panic("unreachable")
	}
}

var errDown = errors.New("the bus is down")
