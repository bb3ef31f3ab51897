package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/internal/natstest"
)

const secretOfHooks = "a secret of 24 bytes or so"

func signed(parts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(secretOfHooks))
	mac.Write([]byte(strings.Join(parts, ".")))
	return mac.Sum(nil)
}

// Who has no credentials, or wrong ones, is told so before curl sends a body, and stores
// nothing.
func TestHTTPCurlAuth(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte(secretOfHooks))
	w := newHTTPWorld(t, http.ServerConfig{},
		http.Route{Path: "/token", Auth: http.Auth{Bearer: []http.Bearer{{Principal: "alice", Token: "alice's-token-of-16"}}}},
		http.Route{Path: "/hook", Auth: http.Auth{Signature: &http.Signature{Kind: http.StandardWebhooks, Secrets: []http.Secret{http.Secret("whsec_" + encoded)}}}},
		http.Route{Path: "/hub", Auth: http.Auth{Signature: &http.Signature{Kind: http.GitHub, Secrets: []http.Secret{secretOfHooks}}}})

	send := func(path string, headers ...string) curled {
		args := []string{"--data", "x", "--header", "Expect: 100-continue"}
		for _, header := range headers {
			args = append(args, "--header", header)
		}
		return curl(t, w.at(path), args...)
	}
	refused := func(c curled, challenge string) {
		t.Helper()
		c.problem(t, 401, "")
		require.Equal(t, challenge, c.header.Get("WWW-Authenticate"))
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	old := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	hook := func(at string, sum []byte) []string {
		return []string{"webhook-id: msg_1", "webhook-timestamp: " + at, "webhook-signature: v1," + base64.StdEncoding.EncodeToString(sum)}
	}

	for _, headers := range [][]string{
		nil, {"Authorization: Bearer alice's-token-of-17"}, {"Authorization: Basic YWxpY2U6eA=="},
		{"Authorization: Bearer alice's-token-of-16", "Authorization: Bearer alice's-token-of-16"},
	} {
		c := send("/token", headers...)
		refused(c, "Bearer")
		require.Zero(t, c.Uploaded, "%q", headers)
	}
	refused(send("/hook"), "Ergon")
	refused(send("/hook", hook(now, signed("msg_1", now, "y"))...), "Ergon")
	refused(send("/hook", hook(now, signed("msg_2", now, "x"))...), "Ergon")
	refused(send("/hook", hook(old, signed("msg_1", old, "x"))...), "Ergon")
	refused(send("/hub", "X-Hub-Signature-256: sha256="+hex.EncodeToString(signed("y"))), "Ergon")
	require.Empty(t, w.stored(t))

	send("/token", "Authorization: Bearer alice's-token-of-16").accepted(t)
	one := send("/hook", hook(now, signed("msg_1", now, "x"))...).accepted(t)
	require.Equal(t, one, send("/hook", hook(now, signed("msg_1", now, "x"))...).accepted(t), "the hook's ID is its key")
	send("/hub", "X-Hub-Signature-256: sha256="+hex.EncodeToString(signed("x")), "X-GitHub-Delivery: 7").accepted(t)
	require.Equal(t, []string{"x", "x", "x"}, w.payloads(t))
}

// With TLS curl speaks HTTP/2, many requests on one connection, and without it HTTP/1.1
// whatever curl would like. A certificate is a caller's name.
func TestHTTPCurlVersions(t *testing.T) {
	authority := natstest.NewAuthority(t)
	cert, key := authority.Issue("server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	mine, mineKey := authority.Issue("carol", nil)
	w := newHTTPWorld(t, http.ServerConfig{Cert: cert, Key: key, ClientCA: authority.File}, http.Route{Path: "/in"},
		http.Route{Path: "/own", Auth: http.Auth{Certificate: &http.Certificate{}}})
	at, own := "https://"+w.Addr().String()+"/in", "https://"+w.Addr().String()+"/own"
	trust := func(args ...string) []string { return append([]string{"--cacert", authority.File}, args...) }

	c := curl(t, at, trust("--http2", "--json", `{}`, "--header", "Idempotency-Key: k")...)
	require.Equal(t, "2", c.Version)
	id := c.accepted(t)
	c = curl(t, at, trust("--http1.1", "--json", `{}`, "--header", "Idempotency-Key: k")...)
	require.Equal(t, "1.1", c.Version)
	require.Equal(t, id, c.accepted(t))
	c = curl(t, at, trust("--http2", "--data-binary", "@"+file(t, make([]byte, 769<<10)))...)
	require.Equal(t, "2", c.Version)
	c.problem(t, 413, "longer than this route takes")
	c = curl(t, at, trust("--http2", "--header", "Expect: 100-continue", "--upload-file", file(t, []byte("up")), "--request", "POST")...)
	require.Equal(t, "2", c.Version)
	c.accepted(t)
	require.Equal(t, "up", string(w.last(t).Payload()))

	curl(t, own, trust("--http2", "--data", "x")...).problem(t, 401, "")
	curl(t, own, trust("--http2", "--data", "x", "--cert", mine, "--key", mineKey)...).accepted(t)
	_, said, err := tryCurl(t, at, "--data", "x")
	require.Error(t, err)
	require.Contains(t, said, "certificate")
	_, said, err = tryCurl(t, at, trust("--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", "--data", "x")...)
	require.Error(t, err)
	require.Contains(t, said, "alert protocol version") // the server's word

	before := len(w.stored(t))
	var many []string
	for range 20 {
		many = append(many, at)
	}
	out := run(t, nil, installed(t, "curl"), append(trust("--silent", "--noproxy", "*", "--http2", "--parallel", "--data", "x",
		"--write-out", "\n%{http_code} %{http_version} \n"), many...)...)
	require.Equal(t, 20, strings.Count(out, "\n202 2 "), out)
	require.Len(t, w.stored(t), before+20)

	plain := newHTTPWorld(t, http.ServerConfig{})
	c = curl(t, plain.at("/in"), "--http2", "--data", "x") // it asks to upgrade
	require.Equal(t, "1.1", c.Version)
	c.accepted(t)
	_, _, err = tryCurl(t, plain.at("/in"), "--http2-prior-knowledge", "--data", "x")
	require.Error(t, err)
	require.Equal(t, []string{"x"}, plain.payloads(t))
}
