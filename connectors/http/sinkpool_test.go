package http_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	nethttp "net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// countConns counts the connections that a server was opened.
func (r *receiver) countConns() *atomic.Int32 {
	var n atomic.Int32
	r.Config.ConnState = func(_ net.Conn, s nethttp.ConnState) {
		if s == nethttp.StateNew {
			n.Add(1)
		}
	}
	return &n
}

func sendAll(t *testing.T, s *http.Sink, n int) {
	t.Helper()
	done := make(chan error, n)
	for i := range n {
		s.Send(t.Context(), order(ergon.WithID(fmt.Sprint("tx-", i))), func(err error) { done <- err })
	}
	for range n {
		require.NoError(t, answered(t, done))
	}
}

// Whatever the answers are, as long as they end, their connections are used again.
func TestSinkUsesConnectionsAgain(t *testing.T) {
	var n atomic.Int32
	r := newReceiverUnstarted(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.WriteHeader([]int{200, 204, 422, 503, 307}[int(n.Add(1))%5])
		if n.Load()%5 != 1 {
			_, _ = w.Write(make([]byte, 20<<10))
		}
	})
	conns := r.countConns()
	r.Start()
	s := newSink(t, http.SinkOptions{URL: r.URL})
	for range 50 {
		_ = send(t, s, order())
	}
	require.Len(t, r.requests(), 50)
	require.Less(t, conns.Load(), int32(5)) // one, but where net/http is late under load
}

func TestSinkBoundsItsConnections(t *testing.T) {
	const most, all = 4, 200
	var now, peak atomic.Int32
	r := newReceiverUnstarted(t, func(nethttp.ResponseWriter, *nethttp.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
		}
	})
	conns := r.countConns()
	r.Start()
	sendAll(t, newSink(t, http.SinkOptions{URL: r.URL, Connections: most}), all)
	require.Len(t, r.requests(), all)
	require.LessOrEqual(t, peak.Load(), int32(most))
	// net/http gives one up where its own goroutines come too late, as under load.
	require.Less(t, conns.Load(), int32(all/10), "they are used again")
}

// Send hands over and comes back, until there is no room; then it waits no longer than
// its context.
func TestSinkSendWaitsOnlyForRoom(t *testing.T) {
	release := make(chan struct{})
	r := newReceiver(t, func(nethttp.ResponseWriter, *nethttp.Request) { <-release })
	s := newSink(t, http.SinkOptions{URL: r.URL, Connections: 2})
	done := make(chan error, 2)
	for range 2 {
		s.Send(t.Context(), order(), func(err error) { done <- err })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sendWith(t, ctx, s, order()), context.DeadlineExceeded)
	close(release)
	require.NoError(t, answered(t, done))
	require.NoError(t, answered(t, done))
}

// tlsReceiver has a certificate of its own authority and speaks HTTP/2.
func tlsReceiver(t *testing.T, a *natstest.Authority, change func(*tls.Config)) *receiver {
	t.Helper()
	cert, key := a.Issue("server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	r := newReceiverUnstarted(t, nil)
	r.EnableHTTP2 = true
	r.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	if change != nil {
		change(r.TLS)
	}
	return r
}

func TestSinkHTTP2(t *testing.T) {
	a := natstest.NewAuthority(t)
	r := tlsReceiver(t, a, nil)
	conns := r.countConns()
	r.StartTLS()
	s := newSink(t, http.SinkOptions{URL: r.URL + "/{id}", CA: a.File})
	require.NoError(t, send(t, s, order())) // which learns what the server speaks
	sendAll(t, s, 299)
	seen := r.requests()
	require.Len(t, seen, 300)
	for _, q := range seen {
		require.Equal(t, "HTTP/2.0", q.Proto)
	}
	require.EqualValues(t, 1, conns.Load(), "requests share a connection")
	// It says the same as over HTTP/1.
	require.NoError(t, send(t, s, order(ergon.WithMetadata("tenant", "a b"))))
	last := r.requests()[300]
	require.Equal(t, "a%20b", last.Header.Get("Ergon-Meta-Tenant"))
	require.Equal(t, string(order().Payload()), last.Body)
}

func TestSinkTrustsOnlyWhomItShould(t *testing.T) {
	a := natstest.NewAuthority(t)
	r := tlsReceiver(t, a, nil)
	r.Config.ErrorLog = quietLog()
	r.StartTLS()
	for _, o := range []http.SinkOptions{
		{URL: r.URL}, {URL: r.URL, CA: natstest.NewAuthority(t).File},
	} {
		err := send(t, newSink(t, o), order())
		require.Equal(t, ergon.CategorySystem, category(err))
		require.ErrorContains(t, err, "certificate")
	}
	require.Empty(t, r.requests())
}

func TestSinkMutualTLS(t *testing.T) {
	a := natstest.NewAuthority(t)
	r := tlsReceiver(t, a, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool() })
	r.Config.ErrorLog = quietLog()
	r.StartTLS()
	err := send(t, newSink(t, http.SinkOptions{URL: r.URL, CA: a.File}), order())
	require.Equal(t, ergon.CategorySystem, category(err))
	cert, key := a.Issue("shop", nil)
	require.NoError(t, send(t, newSink(t, http.SinkOptions{URL: r.URL, CA: a.File, Cert: cert, Key: key}), order()))
	require.Equal(t, "shop", r.only(t).TLS.PeerCertificates[0].Subject.CommonName)
}

func TestSinkProxy(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := newReceiver(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		user, password, _ := (&nethttp.Request{Header: nethttp.Header{"Authorization": q.Header["Proxy-Authorization"]}}).BasicAuth()
		mu.Lock()
		asked = append(asked, q.Method+" "+q.URL.String()+" "+user)
		mu.Unlock()
		if password != "geheim" {
			w.WriteHeader(nethttp.StatusProxyAuthRequired)
		}
	})
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	at.User = url.UserPassword("me", "geheim")
	s := newSink(t, http.SinkOptions{URL: "http://nowhere.invalid/x", Proxy: at.String()})
	require.NoError(t, send(t, s, order()))

	at.User = url.UserPassword("me", "wrong")
	for _, to := range []string{"http://nowhere.invalid/x", "https://nowhere.invalid/x"} {
		err = send(t, newSink(t, http.SinkOptions{URL: to, Proxy: at.String()}), order())
		require.Equal(t, ergon.CategorySystem, category(err))
		require.NotContains(t, err.Error(), "wrong")
	}
	require.Equal(t, []string{
		"POST http://nowhere.invalid/x me", "POST http://nowhere.invalid/x me", "CONNECT //nowhere.invalid:443 me",
	}, asked)
}
