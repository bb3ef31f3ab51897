package bus_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// tlsServer is a server with a certificate of a's for localhost, and not for
// 127.0.0.1.
func tlsServer(t *testing.T, a *natstest.Authority, change func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	return plainServer(t, func(o *natsserver.Options) {
		pair, err := tls.LoadX509KeyPair(a.Issue("server", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }))
		require.NoError(t, err)
		o.JetStream, o.TLS, o.TLSTimeout = true, true, 10
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		if change != nil {
			change(o)
		}
	})
}

// address is a server's, with a scheme and a host.
func address(s *natsserver.Server, schemeAndHost string) string {
	return schemeAndHost + ":" + strconv.Itoa(s.Addr().(*net.TCPAddr).Port)
}

func TestTLS(t *testing.T) {
	ours, theirs := natstest.NewAuthority(t), natstest.NewAuthority(t)
	cert, key := ours.Issue("client", nil)
	otherCert, otherKey := theirs.Issue("client", nil)
	s := tlsServer(t, ours, nil)
	mutual := tlsServer(t, ours, func(o *natsserver.Options) {
		o.TLSVerify = true
		o.TLSConfig.ClientAuth, o.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, ours.Pool()
	})
	first := tlsServer(t, ours, func(o *natsserver.Options) { o.TLSHandshakeFirst = true })
	late := tlsServer(t, ours, func(o *natsserver.Options) {
		pair, err := tls.LoadX509KeyPair(ours.Issue("late", func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"localhost"}, time.Now().Add(-time.Minute)
		}))
		require.NoError(t, err)
		o.TLSConfig.Certificates = []tls.Certificate{pair}
	})
	plain := plainServer(t, nil)

	for name, cfg := range map[string]bus.Config{
		"tls":                  {URL: address(s, "tls://localhost"), CA: ours.File},
		"a server that wants":  {URL: address(s, "nats://localhost"), CA: ours.File},
		"client's certificate": {URL: address(mutual, "tls://localhost"), CA: ours.File, Cert: cert, Key: key},
		"handshake first":      {URL: address(first, "tls://localhost"), CA: ours.File, TLSFirst: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := connect(t, cfg)
			for _, nc := range []*nats.Conn{b.ConsumeConn(), b.PublishConn()} {
				state, err := nc.TLSConnectionState()
				require.NoError(t, err)
				require.NotEmpty(t, state.VerifiedChains)
				require.Equal(t, "localhost", state.ServerName)
			}
		})
	}
	// None of these waits for ConnectTimeout, but the one where nobody answers.
	for name, c := range map[string]struct {
		cfg  bus.Config
		text []string
	}{
		"unknown authority": {bus.Config{URL: address(s, "tls://localhost")}, []string{"name the PEM file of the authority", "bus.ca"}},
		"not asked for":     {bus.Config{URL: address(s, "nats://localhost")}, []string{"bus.ca"}},
		"another authority": {bus.Config{URL: address(s, "tls://localhost"), CA: theirs.File}, []string{"bus.ca", theirs.File, "is it the right file?"}},
		"another name":      {bus.Config{URL: address(s, "tls://127.0.0.1"), CA: ours.File}, []string{"not for this host", "127.0.0.1"}},
		"expired":           {bus.Config{URL: address(late, "tls://localhost"), CA: ours.File}, []string{"not valid at this time"}},
		"no client's certificate": {bus.Config{URL: address(mutual, "tls://localhost"), CA: ours.File},
			[]string{"wants the client's certificate: set bus.cert and bus.key"}},
		"another's client": {bus.Config{URL: address(mutual, "tls://localhost"), CA: ours.File, Cert: otherCert, Key: otherKey},
			[]string{"refused the certificate in bus.cert", otherCert}},
		"no TLS with a CA":      {bus.Config{URL: plain.ClientURL(), CA: ours.File}, []string{"offers no TLS"}},
		"no handshake first":    {bus.Config{URL: address(s, "tls://localhost"), CA: ours.File, TLSFirst: true}, []string{"remove bus.tls_first"}},
		"handshake first there": {bus.Config{URL: address(first, "tls://localhost"), CA: ours.File, ConnectTimeout: time.Second}, []string{"handshake_first", "bus.tls_first"}},
		"the key of another":    {bus.Config{URL: address(mutual, "tls://localhost"), Cert: cert, Key: otherKey}, []string{"bus.cert", cert, "bus.key", otherKey, "match"}},
		"no PEM":                {bus.Config{URL: address(s, "tls://localhost"), CA: key}, []string{"bus.ca", key, "holds no certificate in PEM"}},
		"no key":                {bus.Config{URL: address(s, "tls://localhost"), Cert: cert, Key: cert + "x"}, []string{"bus.key", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cfg.ConnectTimeout == 0 {
				c.cfg.ConnectTimeout = patience
			}
			_, err := bus.Connect(testContext(t), c.cfg)
			for _, text := range c.text {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "PRIVATE")
		})
	}
}

// A certificate of an authority that is taken for another on a reconnect: it says
// so, tries on, and takes the file that is put in its place.
func TestTLSFileIsReadAgain(t *testing.T) {
	ours, theirs := natstest.NewAuthority(t), natstest.NewAuthority(t)
	s := tlsServer(t, ours, nil)
	file := filepath.Join(t.TempDir(), "ca.pem")
	put := func(from string) {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	put(ours.File)
	var log logBook
	b := connect(t, bus.Config{URL: address(s, "tls://localhost"), CA: file}, bus.WithLogger(log.logger()))
	put(theirs.File)
	require.NoError(t, b.ConsumeConn().ForceReconnect())
	eventually(t, func() bool {
		err := b.Status().LastError
		return err != nil && containsAll(err.Error(), "bus.ca", file, "is it the right file?")
	})
	eventually(t, func() bool { return containsAll(log.String(), "not reached again yet", "is it the right file?") })
	require.False(t, b.Status().Closed)
	put(ours.File)
	eventually(t, func() bool { return b.Status().Connected })
	require.NoError(t, b.Flush(testContext(t)))
}
