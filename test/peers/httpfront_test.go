package peers

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// proxied is an nginx before a source: /in with the requests that it has read whole, as it
// does by itself, and /stream with them as they come.
func proxied(t *testing.T, w *httpWorld, listen, more string) *nginx {
	t.Helper()
	return startNginx(t, listen, "upstream source { server "+w.Addr().String()+" max_fails=0; keepalive 8; }", more+`
		client_max_body_size 2m;
		location / { proxy_pass http://source; }
		location /stream { rewrite ^ /in break; proxy_request_buffering off; proxy_pass http://source; }
	`)
}

// Through nginx a source takes what it takes directly, and nginx passes on what it says.
func TestHTTPBehindNginx(t *testing.T) {
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue("nginx", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	w := newHTTPWorld(t, http.ServerConfig{}, http.Route{Path: "/in", Wait: 200 * time.Millisecond, RetryAfter: 3 * time.Second})
	plain := proxied(t, w, "", "")
	secure := proxied(t, w, "ssl http2", "ssl_certificate "+cert+"; ssl_certificate_key "+key+";")
	n := 0
	for _, at := range []string{plain.at("/in"), plain.at("/stream"), "https://" + secure.address + "/in", "https://" + secure.address + "/stream"} {
		for _, m := range httpModes(t) {
			args := append([]string{"--cacert", authority.File, "--header", "Idempotency-Key: " + strings.ReplaceAll(at+m.name, " ", "")}, m.args...)
			c := curl(t, at, args...)
			id := c.accepted(t)
			require.Equal(t, strings.HasPrefix(at, "https"), c.Version == "2")
			require.Equal(t, id, curl(t, at, args...).accepted(t), "a retry")
			n++
			require.EqualValues(t, n, w.sequence(t), m.name)
			m.holds(t, w.last(t), id)
		}
	}
	over := file(t, make([]byte, 1<<20))
	for _, path := range []string{"/in", "/stream"} {
		curl(t, plain.at(path), "--header", "Expect:", "--data-binary", "@"+over).problem(t, 413, "longer than this route takes")
	}
	curl(t, plain.at("/in"), "--data", "x", "--header", "ce-id: 1").problem(t, 400, "specversion")
	w.nats.Shutdown()
	away := curl(t, plain.at("/in"), "--data", "x")
	away.problem(t, 503, "stored")
	require.Equal(t, "3", away.header.Get("Retry-After"))
	w.startNATS(t)
	eventually(t, func() error {
		if curl(t, plain.at("/in"), "--data", "x", "--header", "Idempotency-Key: after").Status != 202 {
			return errNotYet
		}
		return nil
	})
	// A stranger's request of which nothing is known was stored, or not; the other was, once.
	require.Contains(t, []int{n + 1, n + 2}, len(w.stored(t)))
}

// An nginx that asks the next one, where a source is gone, has no request stored twice:
// both are one route, and the caller's key is the same.
func TestHTTPNginxAsksTheNext(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{})
	other := serveHTTP(t, http.ServerConfig{}, func(s *http.Server) { require.NoError(t, s.Add(http.Route{Path: "/in"}, w.receiver)) })
	cut := upstream(t, faultyProxy(t, w.at("/in"))) // it stores, and its answer is lost
	n := startNginx(t, "", "upstream source { server "+cut+" max_fails=0; server "+other.Addr().String()+" backup; }", `
		location / { proxy_next_upstream error timeout non_idempotent; proxy_pass http://source; }
	`)
	for i := range 10 {
		id := curl(t, n.at("/in"), "--data", "x", "--header", "Idempotency-Key: "+string(rune('a'+i))).accepted(t)
		all := w.stored(t)
		require.Len(t, all, i+1)
		require.Equal(t, id, all[i].ID())
	}
}
