package bus

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// tlsOptions turns the settings for TLS into options. nats.go verifies the
// server's certificate, for the host of the URL it dials, wherever there is TLS.
func (s target) tlsOptions() []nats.Option {
	if !s.wantsTLS() {
		return nil
	}
	opts := []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12})}
	var certificate nats.TLSCertHandler
	var authorities nats.RootCAsHandler
	if s.Cert != "" {
		certificate = s.certificate
	}
	if s.CA != "" {
		authorities = s.authorities
	}
	if certificate != nil || authorities != nil {
		// Asked for each connection: a renewed certificate counts from the next one.
		opts = append(opts, nats.ClientTLSConfig(certificate, authorities))
	}
	if s.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts
}

// certificate reads the client's certificate with its key.
func (s target) certificate() (tls.Certificate, error) {
	for _, f := range []struct{ name, path string }{{"cert", s.Cert}, {"key", s.Key}} {
		if _, err := s.read(f.name, f.path); err != nil {
			return tls.Certificate{}, err
		}
	}
	pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s %q and %s %q are no certificate with its key, in PEM: %w",
			s.setting("cert"), s.Cert, s.setting("key"), s.Key, err)
	}
	return pair, nil
}

// authorities reads those to trust.
func (s target) authorities() (*x509.CertPool, error) {
	data, err := s.read("ca", s.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: %q holds no certificate in PEM", s.setting("ca"), s.CA)
	}
	return pool, nil
}

// read reads the file of a setting. The error names both, and nothing of what is
// in there.
func (s target) read(name, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.setting(name), err)
	}
	return data, nil
}

// tlsAdvice says what to do about a failure of TLS, and whether waiting cannot
// help; "" if it is none.
func (s target) tlsAdvice(err error) (advice string, hopeless bool) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if s.CA == "" {
			return "name the PEM file of the authority that signed the server's certificate: bus.ca", true
		}
		return fmt.Sprintf("no authority in %s %q signed the server's certificate: is it the right file?", s.setting("ca"), s.CA), true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the server's certificate is not for this host: use a name in the URL that it is for, or give the server one for this name", true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "the server's certificate is not valid at this time: renew it there, or set this machine's clock", true
		}
		return "the server's certificate is not fit for a server: have another one issued", true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if s.TLSFirst {
			return fmt.Sprintf("the server does not begin with TLS: remove %s, or set handshake_first there", s.setting("tls_first")), true
		}
		return "the server's answer is not TLS: is it the right port?", true
	}
	if errors.Is(err, nats.ErrSecureConnRequired) {
		return "the server wants TLS: use a tls:// URL", true
	}
	if errors.Is(err, nats.ErrSecureConnWanted) {
		return "the server offers no TLS: use a nats:// URL without bus.ca, bus.cert and bus.tls_first, or enable TLS there", true
	}
	if refusedCertificate(err) {
		if s.Cert == "" {
			return "the server wants the client's certificate: set bus.cert and bus.key", true
		}
		return fmt.Sprintf("the server refused the certificate in %s %q: is it signed by an authority that the server knows, and still valid?", s.setting("cert"), s.Cert), true
	}
	if errors.Is(err, nats.ErrTLS) {
		return "TLS failed: check bus.ca, bus.cert and bus.key, and the host name in the URL", false
	}
	return "", false
}

// refusedCertificate reports what the server says of our certificate, or of its
// absence. Package tls has the kinds of an alert as text only.
func refusedCertificate(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error" && strings.Contains(err.Error(), "certificate")
}
