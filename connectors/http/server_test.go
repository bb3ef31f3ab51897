package http_test

import (
	"context"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

var loopbackIP = []net.IP{net.IPv4(127, 0, 0, 1)}

// That everybody may use a route is only assumed on loopback; elsewhere somebody says so.
func TestOpenRoutesStayOnThisMachine(t *testing.T) {
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: &shelf{}})
	require.NoError(t, err)
	with := func(auth http.Auth) *http.Server {
		server, err := http.NewServer(http.ServerConfig{Address: ":0"}, nil)
		require.NoError(t, err)
		require.NoError(t, server.Add(http.Route{Path: "/in", Auth: auth}, receiver))
		return server
	}
	open := with(http.Auth{})
	require.ErrorContains(t, open.Start(t.Context()), `http route "/in": it has no auth, and :0 can be reached from other machines`)
	_, err = open.Handler()
	require.ErrorContains(t, err, "it has no auth")

	for _, auth := range []http.Auth{{Anonymous: true}, {Bearer: []http.Bearer{{Principal: "a", Token: token}}}} {
		server := with(auth)
		require.NoError(t, server.Start(t.Context()))
		require.ErrorContains(t, server.Start(t.Context()), "started or closed before")
		require.NoError(t, server.Close(t.Context()))
	}
	own, err := with(http.Auth{Anonymous: true}).Handler()
	require.NoError(t, err)
	w := httptest.NewRecorder()
	own.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/in", nil))
	require.Equal(t, 202, w.Code)
}

// A page in a browser on this machine is not let in for it.
func TestRefusesOtherSites(t *testing.T) {
	r := receiving(t, &shelf{}, http.Route{Path: "/in"})
	r.post("/in", "x", "Sec-Fetch-Site", "cross-site").problem(t, 403, "")
	r.post("/in", "x", "Origin", "https://evil.example").problem(t, 403, "")
	require.Equal(t, 202, r.post("/in", "x", "Sec-Fetch-Site", "same-origin").StatusCode)
}

func TestAddRefuses(t *testing.T) {
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s, Records: http.NewMemoryRecords(time.Hour, 1)})
	require.NoError(t, err)
	server, err := http.NewServer(http.ServerConfig{}, nil)
	require.NoError(t, err)
	require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver))
	for want, route := range map[string]http.Route{
		"another one is named":     {Path: "/in", Method: "PUT"},
		"conflicts with pattern":   {Path: "/in", Name: "other"},
		"begins with /":            {Path: "in"},
		"has spaces in it":         {Path: "/a b"},
		"ends in /{transaction}":   {Path: "/a", Status: "/b"},
		"which the path has not":   {Path: "/a/{x}", Status: "/b/{y}/{transaction}"},
		"a limit or a time":        {Path: "/a", Wait: -1},
		"can't become metadata":    {Path: "/a", Headers: []string{"authorization"}},
		"no control characters":    {Path: "/a", Type: "a\nb"},
		"wildcard":                 {Path: "/a/{transaction}"},
		"bad wildcard segment":     {Path: "/a/x{b}"},
		"auth: there is no":        {Path: "/a", Auth: http.Auth{Signature: &http.Signature{Kind: "x", Secrets: []http.Secret{token}}}},
		"\"Ergon-Meta-X\" can't":   {Path: "/a", Headers: []string{"Ergon-Meta-X"}},
		"a method (\"PO ST\") has": {Path: "/a", Method: "PO ST"},
	} {
		require.ErrorContains(t, server.Add(route, receiver), want, route.Path)
	}
}

// Drain turns new requests away and Close waits for those under way: all that came get
// an answer.
func TestDrain(t *testing.T) {
	s := &shelf{hold: make(chan struct{}), begun: make(chan struct{}, 1)}
	r := receiving(t, s, http.Route{Path: "/in", Wait: time.Minute})
	require.NoError(t, r.Health())
	under := r.later("/in", "x")
	receive(t, s.begun)
	r.Drain()
	require.ErrorContains(t, r.Health(), "stopping")
	resp := r.post("/in", "y")
	resp.problem(t, 503, "stopping")
	require.True(t, resp.Close)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))

	closed := make(chan error, 1)
	go func() { closed <- r.Close(context.Background()) }()
	eventually(t, func() bool { // it accepts nothing any more
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(s.hold)
	require.Equal(t, 202, receive(t, under).StatusCode)
	require.NoError(t, receive(t, closed))
	require.NoError(t, r.Close(context.Background()))
}

// Close gives up when its context ends, and cuts what still runs.
func TestCloseIsBounded(t *testing.T) {
	s := &shelf{hold: make(chan struct{}), begun: make(chan struct{}, 1)}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	server, err := http.NewServer(http.ServerConfig{Address: "127.0.0.1:0"}, nil)
	require.NoError(t, err)
	require.NoError(t, server.Add(http.Route{Path: "/in", Wait: time.Minute}, receiver))
	require.NoError(t, server.Start(t.Context()))
	transport := &nethttp.Transport{}
	defer transport.CloseIdleConnections()
	r := &rig{Server: server, t: t, client: &nethttp.Client{Transport: transport}, scheme: "http://"}
	under := r.later("/in", "x")
	receive(t, s.begun)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorContains(t, server.Close(ended), "still under way")
	_, ok := <-under
	require.False(t, ok, "it was cut")
	close(s.hold)

	never, err := http.NewServer(http.ServerConfig{}, nil)
	require.NoError(t, err)
	require.ErrorContains(t, never.Health(), "not started")
	require.NoError(t, never.Close(t.Context()))
	require.Error(t, never.Start(t.Context()), "closed is closed")
}
