package telemetry

import (
	"errors"
	"net"
	"net/url"
	"path"
	"strings"
)

// The ports that receivers of OTLP listen on.
const (
	portGRPC = "4317"
	portHTTP = "4318"
)

// endpoint is where a receiver is.
type endpoint struct {
	host   string // with a port, if it was given
	path   string
	secure bool
	bare   bool // it came without a scheme
}

// parseEndpoint reads a URL or host:port. The error quotes nothing of what may hold a
// secret.
func parseEndpoint(s string, insecure bool) (endpoint, error) {
	full, bare := s, !strings.Contains(s, "://")
	if bare {
		full = "//" + s
	}
	u, err := url.Parse(full)
	switch {
	case err != nil || u.Hostname() == "" || bare && u.Path != "":
		return endpoint{}, errors.New("it is not a receiver's address: give https://host:port, http://host:port or host:port")
	case u.User != nil:
		return endpoint{}, errors.New("it names a user: put credentials into headers")
	case u.RawQuery != "" || u.Fragment != "":
		return endpoint{}, errors.New("it has a query or a fragment, which no receiver has")
	case !bare && u.Scheme != "http" && u.Scheme != "https":
		return endpoint{}, errors.New("its scheme is unknown: use https or http")
	}
	e := endpoint{host: u.Host, path: u.Path, bare: bare}
	e.secure = u.Scheme == "https" || bare && !insecure
	return e, nil
}

// url is the endpoint as exporters take it. exact is for one that was given for the
// signal alone: its path is the signal's.
func (e endpoint) url(protocol string, s signal, exact bool) string {
	u := url.URL{Scheme: "http", Host: e.host}
	if e.secure {
		u.Scheme = "https"
	}
	port := portGRPC
	if protocol == protocolHTTP {
		port = portHTTP
		if u.Path = e.path; !exact {
			u.Path = path.Join("/", e.path, "v1", string(s))
		} else if u.Path == "" {
			u.Path = "/"
		}
	}
	// A URL over HTTP has a port if it shows none.
	if _, _, err := net.SplitHostPort(e.host); err != nil && (e.bare || protocol == protocolGRPC) {
		u.Host = net.JoinHostPort(strings.Trim(e.host, "[]"), port)
	}
	return u.String()
}
