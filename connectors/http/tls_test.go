package http_test

import (
	"crypto/tls"
	"crypto/x509"
	nethttp "net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// secure gives the client trust in an authority, and a certificate if there is one.
func (r *rig) secure(authority *natstest.Authority, cert, key string) *rig {
	pem, err := os.ReadFile(authority.File)
	require.NoError(r.t, err)
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(pem)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(r.t, err)
		cfg.Certificates = []tls.Certificate{pair}
	}
	transport := &nethttp.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &rig{Server: r.Server, t: r.t, client: &nethttp.Client{Transport: transport}, scheme: "https://"}
}

// With TLS there is HTTP/2. A route may want a certificate of an authority, and of some
// names: one without gets 401, one with another name 403.
func TestMutualTLS(t *testing.T) {
	authority, stranger := natstest.NewAuthority(t), natstest.NewAuthority(t)
	cert, key := authority.Issue("server", func(c *x509.Certificate) { c.IPAddresses = loopbackIP })
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{Cert: cert, Key: key, ClientCA: authority.File}, func(server *http.Server) {
		some := &http.Certificate{Principals: []string{"spiffe://shop/alice", "bob.example", "carol"}}
		require.NoError(t, server.Add(http.Route{Path: "/some", Auth: http.Auth{Certificate: some}}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/any", Auth: http.Auth{
			Certificate: &http.Certificate{}, Bearer: []http.Bearer{{Principal: "carol", Token: token}},
		}}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/all"}, receiver))
	})
	with := func(a *natstest.Authority, name string, change func(*x509.Certificate)) *rig {
		cert, key := a.Issue(name, change)
		return r.secure(authority, cert, key)
	}
	spiffe, err := url.Parse("spiffe://shop/alice")
	require.NoError(t, err)
	alice := with(authority, "x", func(c *x509.Certificate) { c.URIs = []*url.URL{spiffe} })
	bob := with(authority, "x", func(c *x509.Certificate) { c.DNSNames = []string{"other.example", "bob.example"} })
	carol := with(authority, "carol", nil)
	posing := with(authority, "carol", func(c *x509.Certificate) { c.DNSNames = []string{"mallory.example"} })
	nobody := r.secure(authority, "", "")

	ids := map[string]bool{}
	for _, who := range []*rig{alice, bob, carol} {
		resp := who.post("/some", "x", "Idempotency-Key", "k")
		require.Equal(t, 202, resp.StatusCode, resp.body)
		require.Equal(t, 2, resp.ProtoMajor)
		ids[resp.transaction(t)] = true
	}
	require.Len(t, ids, 3, "three principals")
	posing.post("/some", "x").problem(t, 403, "")
	nobody.post("/some", "x").problem(t, 401, "")
	require.Equal(t, 202, posing.post("/any", "x").StatusCode)
	nobody.post("/any", "x").problem(t, 401, "")
	byToken := nobody.post("/any", "x", "Authorization", "Bearer "+token, "Idempotency-Key", "k")
	require.Equal(t, byToken.transaction(t), carol.post("/any", "x", "Idempotency-Key", "k").transaction(t), "one principal, by either")
	require.Equal(t, 202, nobody.post("/all", "x").StatusCode)

	before := len(s.stored())
	_, err = with(stranger, "carol", nil).client.Do(nobody.request("POST", "/all", "x"))
	require.Error(t, err, "another authority's certificate ends the handshake")
	require.Len(t, s.stored(), before)
	plain := r.post("/all", "x")
	require.Equal(t, 400, plain.StatusCode, "HTTP where TLS is spoken")
}

// Over HTTP/2 a body that is too long ends its stream, and not the connection of others.
func TestBodyLimitOverHTTP2(t *testing.T) {
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue("server", func(c *x509.Certificate) { c.IPAddresses = loopbackIP })
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: &shelf{}})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{Cert: cert, Key: key}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/in", MaxBody: 10}, receiver))
	}).secure(authority, "", "")
	connections := map[string]bool{}
	for _, body := range []string{"x", string(make([]byte, 1<<20)), "x"} {
		req := r.request("POST", "/in", body)
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { connections[c.Conn.LocalAddr().String()] = true }}
		resp := r.do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
		require.Equal(t, 2, resp.ProtoMajor)
		if body == "x" {
			require.Equal(t, 202, resp.StatusCode, resp.body)
		} else {
			resp.problem(t, 413, "longer than this route takes")
		}
	}
	require.Len(t, connections, 1)
}

func TestTLSFiles(t *testing.T) {
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue("server", nil)
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: &shelf{}})
	require.NoError(t, err)
	empty := t.TempDir() + "/empty.pem"
	require.NoError(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	for want, cfg := range map[string]http.ServerConfig{
		"client_ca does not say whose": {Cert: cert, Key: key},
		"read the certificate":         {Cert: "missing.pem", Key: key, ClientCA: authority.File},
		"read client_ca":               {Cert: cert, Key: key, ClientCA: "missing.pem"},
		"has no certificate in it":     {Cert: cert, Key: key, ClientCA: empty},
	} {
		cfg.Address = "127.0.0.1:0"
		server, err := http.NewServer(cfg, nil)
		require.NoError(t, err)
		require.NoError(t, server.Add(http.Route{Path: "/in", Auth: http.Auth{Certificate: &http.Certificate{}}}, receiver))
		require.ErrorContains(t, server.Start(t.Context()), want)
		require.Error(t, server.Health())
	}
	for want, cfg := range map[string]http.ServerConfig{
		"belong together": {Cert: cert}, "client_ca needs TLS": {ClientCA: cert}, "is negative": {ReadTimeout: -1},
	} {
		_, err := http.NewServer(cfg, nil)
		require.ErrorContains(t, err, want)
	}
}
