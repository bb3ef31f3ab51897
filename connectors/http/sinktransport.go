package http

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"time"
)

const (
	// idleFor is how long a connection without requests is kept: less than most
	// servers and balancers do, so that they are not the first to close it.
	idleFor = 55 * time.Second
	// pingAfter is when a silent HTTP/2 connection is asked whether it is still there.
	// Otherwise all requests would go on waiting on one whose peer is gone.
	pingAfter = 15 * time.Second
	// maxHeaders bounds the headers of an answer.
	maxHeaders = 256 << 10
)

// newTransport makes the pool of connections. It reads the files of the options.
func newTransport(c compiled) (*nethttp.Transport, error) {
	o := c.options
	dialer := &net.Dialer{Timeout: o.ConnectTimeout, Resolver: o.Resolver}
	if c.deny {
		dialer.ControlContext = guard(c.except)
	}
	t := &nethttp.Transport{
		Proxy:                  c.proxy,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    o.TLSTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		MaxConnsPerHost:        o.Connections,
		MaxIdleConnsPerHost:    o.Connections,
		MaxIdleConns:           o.Connections,
		IdleConnTimeout:        idleFor,
		MaxResponseHeaderBytes: maxHeaders,
		ForceAttemptHTTP2:      true, // which a dialer of one's own turns off otherwise
		HTTP2:                  &nethttp.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
	var err error
	if t.TLSClientConfig, err = tlsConfig(o); err != nil {
		return nil, err
	}
	return t, nil
}

func tlsConfig(o SinkOptions) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %q has no certificate in PEM", o.CA)
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fmt.Errorf("cert: %q with key %q: %w", o.Cert, o.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
