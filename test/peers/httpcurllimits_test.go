package peers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

// A body that is too long is refused before curl has sent it, where curl asks first; and
// what curl sends after all makes no other request of it.
func TestHTTPCurlLimits(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{}, http.Route{Path: "/in", MaxBody: 1 << 20})
	most, over := file(t, make([]byte, 1<<20-1000)), file(t, make([]byte, 1<<20+1))
	expect := "Expect: 100-continue"

	c := curl(t, w.at("/in"), "--header", expect, "--data-binary", "@"+most)
	c.accepted(t)
	require.Len(t, c.blocks, 2)
	require.Contains(t, c.blocks[0], "HTTP/1.1 100 Continue")
	require.Equal(t, 1<<20-1000, c.Uploaded)
	require.Len(t, w.last(t).Payload(), 1<<20-1000)

	c = curl(t, w.at("/in"), "--header", expect, "--data-binary", "@"+over)
	c.problem(t, 413, "longer than this route takes")
	require.Len(t, c.blocks, 1, "it was told to go on")
	require.Zero(t, c.Uploaded)
	require.Equal(t, "close", c.header.Get("Connection"))
	curl(t, w.at("/in"), "--header", "Expect:", "--data-binary", "@"+over).problem(t, 413, "longer than this route takes")
	curl(t, w.at("/in"), "--header", "Expect:", "--header", "Transfer-Encoding: chunked", "--data-binary", "@"+over).
		problem(t, 413, "longer than this route takes")
	require.Equal(t, 417, curl(t, w.at("/in"), "--header", "Expect: 200-ok", "--data", "x").Status)
	require.Len(t, w.stored(t), 1)

	// The bus' own limit is told as what it is: this will never be stored.
	curl(t, w.at("/in"), "--header", "Expect:", "--data-binary", "@"+file(t, make([]byte, 1<<20))).
		problem(t, 422, "can't be stored, now or later")
	require.Len(t, w.stored(t), 1)
}

// What is not understood is refused, and nothing of it stored.
func TestHTTPCurlRefused(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{}, http.Route{Path: "/in/{tenant}"})
	event := []string{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /a", "ce-type: b"}
	for _, c := range []struct {
		status  int
		detail  string
		headers []string
		args    []string
	}{
		{400, "ce-type is missing", event[:3], nil},
		{400, "specversion", append([]string{"ce-specversion: 0.3"}, event[1:]...), nil},
		{400, "ce-time", append([]string{"ce-time: yesterday"}, event...), nil},
		{400, "ce-id", append([]string{"ce-id: 2"}, event...), nil},
		{400, "a % begins no escape", append([]string{"ce-subject: 100%"}, event...), nil},
		{400, "control characters", append([]string{"ce-subject: a%0D%0Ab"}, event...), nil},
		{400, "quote", append([]string{`ce-subject: "a`}, event...), nil},
		{400, "idempotency-key", []string{"Idempotency-Key: a", "Idempotency-Key: b"}, nil},
		{400, "idempotency-key", []string{"Idempotency-Key: a b"}, nil},
		{400, "idempotency-key", []string{"Idempotency-Key: " + strings.Repeat("k", 256)}, nil},
		{400, "idempotency-key", []string{"Idempotency-Key;"}, nil}, // curl sends it empty
		{400, "content-type", []string{"Content-Type: a/b", "Content-Type: c/d"}, nil},
		{400, "not an object", []string{"Content-Type: application/cloudevents+json"}, []string{"--data", "[]"}},
		{400, "not UTF-8", []string{"Content-Type: application/cloudevents+json"}, []string{"--data-binary", "@" + file(t, []byte{'{', 0xff, '}'})}},
		{415, "only single ones", []string{"Content-Type: application/cloudevents-batch+json"}, []string{"--data", "[]"}},
		{415, "content encoding", []string{"Content-Encoding: gzip"}, nil},
		{403, "", []string{"Sec-Fetch-Site: cross-site"}, nil},
	} {
		args := []string{"--data", "x"}
		if c.args != nil {
			args = c.args
		}
		for _, header := range c.headers {
			args = append(args, "--header", header)
		}
		curl(t, w.at("/in/acme"), args...).problem(t, c.status, c.detail)
	}
	for url, status := range map[string]int{"/in/a%0Ab": 400, "/in/a%FF": 400, "/out": 404, "/in/a/b": 404} {
		require.Equal(t, status, curl(t, w.at(url), "--data", "x").Status, url)
	}
	require.Equal(t, 405, curl(t, w.at("/in/acme"), "--request", "PUT", "--data", "x").Status)
	require.Equal(t, 431, curl(t, w.at("/in/acme"), "--data", "x", "--header", "X: "+strings.Repeat("x", 90<<10)).Status)
	require.Empty(t, w.stored(t))
}

// A key is its caller's: the same one of somebody else is another request, and with
// another body it is refused.
func TestHTTPCurlKeys(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{}, http.Route{Path: "/in/{tenant}", Auth: http.Auth{Bearer: []http.Bearer{
		{Principal: "alice", Token: "alice's-token-of-16"}, {Principal: "bob", Token: "bob's-token-of-16-too"},
	}}})
	send := func(tenant, token, key, body string) curled {
		return curl(t, w.at("/in/"+tenant), "--oauth2-bearer", token, "--header", "Idempotency-Key: "+key, "--data", body)
	}
	one := send("acme", "alice's-token-of-16", "k", "x").accepted(t)
	require.Equal(t, one, send("acme", "alice's-token-of-16", `"k"`, "x").accepted(t), "in quotes it is the same")
	send("acme", "alice's-token-of-16", "k", "y").problem(t, 422, "used with another body")
	ids := map[string]bool{one: true}
	ids[send("acme", "bob's-token-of-16-too", "k", "x").accepted(t)] = true
	ids[send("other", "alice's-token-of-16", "k", "x").accepted(t)] = true
	ids[send("acme", "alice's-token-of-16", "l", "x").accepted(t)] = true
	require.Len(t, ids, 4)
	all := w.stored(t)
	require.Len(t, all, 4)
	require.Equal(t, []string{"x", "x", "x", "x"}, w.payloads(t))
	require.Equal(t, "other", all[2].Metadata().Get("path.tenant"))
	for _, tx := range all {
		require.Empty(t, tx.Metadata().Get("authorization"))
	}
}
