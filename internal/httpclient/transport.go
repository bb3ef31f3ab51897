// Package httpclient holds what services that speak HTTP share: their transport, what they
// read of an answer that failed, and how their secrets stay out of it.
package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Config is what a transport is made of. The zero value trusts the system's roots, shows no
// certificate, and uses no proxy.
type Config struct {
	// Connections is how many there are to the host at most, those in use included; 0 is no
	// bound.
	Connections int
	// CA, Cert and Key name files of PEM.
	CA, Cert, Key string
	// Proxy is a URL, or "environment".
	Proxy string
}

// Transport returns a transport of its own: nothing that another client does to
// http.DefaultTransport is felt here. It has no time of its own for an answer, which is its
// caller's context's to say. The error names the setting, and no value of a secret.
func Transport(c Config) (*http.Transport, error) {
	secure, err := secured(c)
	if err != nil {
		return nil, err
	}
	proxy, err := proxied(c.Proxy)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: proxy, DialContext: dialer.DialContext, TLSClientConfig: secure, TLSHandshakeTimeout: 10 * time.Second,
		MaxConnsPerHost: c.Connections, MaxIdleConnsPerHost: max(c.Connections, 2), IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 1 << 20, ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2: true,
		// A connection that died without a word would be given every request until the
		// kernel gives it up, which takes a quarter of an hour.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}, nil
}

func secured(c Config) (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		if secure.RootCAs, err = x509.SystemCertPool(); err != nil {
			secure.RootCAs = x509.NewCertPool()
		}
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s has no certificate in PEM", c.CA)
		}
	}
	switch {
	case c.Cert == "" && c.Key == "":
		return secure, nil
	case c.Cert == "" || c.Key == "":
		return nil, errors.New("cert and key: one without the other: give both files, or none")
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	// Read for each connection, so that files that are renewed need no restart.
	secure.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return secure, nil
}

func proxied(proxy string) (func(*http.Request) (*url.URL, error), error) {
	switch proxy {
	case "":
		return nil, nil
	case "environment":
		return http.ProxyFromEnvironment, nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" {
		return nil, errors.New(`proxy: it is neither a URL nor "environment"`) // it may hold a password
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return http.ProxyURL(u), nil
	}
	return nil, fmt.Errorf("proxy: its scheme is %q: http, https, socks5 and socks5h can be one", u.Scheme)
}

// Base reads the URL that all requests begin with. The error does not show it: it may hold
// a password.
func Base(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("url: there is none: say where the service is, as https://host/path")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("url: it is no URL: write it as https://host/path")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("url: it begins neither with http://host nor with https://host")
	case u.User != nil:
		return nil, errors.New("url: it holds credentials: they have settings of their own")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("url: it has a query or a fragment: it is what all requests begin with")
	}
	return u, nil
}
