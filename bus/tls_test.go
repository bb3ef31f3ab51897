package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
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
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.file, _ = a.issue("ca", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// issue makes a certificate and its key, and returns their files.
func (a *authority) issue(name string, change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		a.cert, a.key = template, private
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	require.NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	write := func(suffix, kind string, data []byte) string {
		file := filepath.Join(a.dir, name+suffix)
		require.NoError(a.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600))
		return file
	}
	return write(".pem", "CERTIFICATE", der), write("-key.pem", "PRIVATE KEY", pkcs8)
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	data, err := os.ReadFile(a.file)
	require.NoError(a.t, err)
	require.True(a.t, pool.AppendCertsFromPEM(data))
	return pool
}

// tlsServer is a server with a certificate of a's for localhost, and not for
// 127.0.0.1.
func tlsServer(t *testing.T, a *authority, change func(*natsserver.Options)) *natsserver.Server {
	t.Helper()
	return plainServer(t, func(o *natsserver.Options) {
		pair, err := tls.LoadX509KeyPair(a.issue("server", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }))
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
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.issue("client", nil)
	otherCert, otherKey := theirs.issue("client", nil)
	s := tlsServer(t, ours, nil)
	mutual := tlsServer(t, ours, func(o *natsserver.Options) {
		o.TLSVerify = true
		o.TLSConfig.ClientAuth, o.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool()
	})
	first := tlsServer(t, ours, func(o *natsserver.Options) { o.TLSHandshakeFirst = true })
	late := tlsServer(t, ours, func(o *natsserver.Options) {
		pair, err := tls.LoadX509KeyPair(ours.issue("late", func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"localhost"}, time.Now().Add(-time.Minute)
		}))
		require.NoError(t, err)
		o.TLSConfig.Certificates = []tls.Certificate{pair}
	})
	plain := plainServer(t, nil)

	for name, cfg := range map[string]bus.Config{
		"tls":                  {URL: address(s, "tls://localhost"), CA: ours.file},
		"a server that wants":  {URL: address(s, "nats://localhost"), CA: ours.file},
		"client's certificate": {URL: address(mutual, "tls://localhost"), CA: ours.file, Cert: cert, Key: key},
		"handshake first":      {URL: address(first, "tls://localhost"), CA: ours.file, TLSFirst: true},
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
		"another authority": {bus.Config{URL: address(s, "tls://localhost"), CA: theirs.file}, []string{"bus.ca", theirs.file, "is it the right file?"}},
		"another name":      {bus.Config{URL: address(s, "tls://127.0.0.1"), CA: ours.file}, []string{"not for this host", "127.0.0.1"}},
		"expired":           {bus.Config{URL: address(late, "tls://localhost"), CA: ours.file}, []string{"not valid at this time"}},
		"no client's certificate": {bus.Config{URL: address(mutual, "tls://localhost"), CA: ours.file},
			[]string{"wants the client's certificate: set bus.cert and bus.key"}},
		"another's client": {bus.Config{URL: address(mutual, "tls://localhost"), CA: ours.file, Cert: otherCert, Key: otherKey},
			[]string{"refused the certificate in bus.cert", otherCert}},
		"no TLS with a CA":      {bus.Config{URL: plain.ClientURL(), CA: ours.file}, []string{"offers no TLS"}},
		"no handshake first":    {bus.Config{URL: address(s, "tls://localhost"), CA: ours.file, TLSFirst: true}, []string{"remove bus.tls_first"}},
		"handshake first there": {bus.Config{URL: address(first, "tls://localhost"), CA: ours.file, ConnectTimeout: time.Second}, []string{"handshake_first", "bus.tls_first"}},
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
	ours, theirs := newAuthority(t), newAuthority(t)
	s := tlsServer(t, ours, nil)
	file := filepath.Join(t.TempDir(), "ca.pem")
	put := func(from string) {
		data, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, data, 0o600))
	}
	put(ours.file)
	var log logBook
	b := connect(t, bus.Config{URL: address(s, "tls://localhost"), CA: file}, bus.WithLogger(log.logger()))
	put(theirs.file)
	require.NoError(t, b.ConsumeConn().ForceReconnect())
	eventually(t, func() bool {
		err := b.Status().LastError
		return err != nil && containsAll(err.Error(), "bus.ca", file, "is it the right file?")
	})
	eventually(t, func() bool { return containsAll(log.String(), "not reached again yet", "is it the right file?") })
	require.False(t, b.Status().Closed)
	put(ours.file)
	eventually(t, func() bool { return b.Status().Connected })
	require.NoError(t, b.Flush(testContext(t)))
}
