package peers

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// a mode is a way to send with curl, and what is to be stored then.
type mode struct {
	name, data string
	args       []string
	contentType,
	kind, subject string
}

// httpModes are all that a route takes.
func httpModes(t *testing.T) []mode {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	h := func(name, value string) []string { return []string{"--header", name + ": " + value} }
	event := func(more ...[]string) (args []string) {
		for _, two := range append([][]string{h("ce-specversion", "1.0"), h("ce-id", "7"), h("ce-source", "/shop")}, more...) {
			args = append(args, two...)
		}
		return args
	}
	structured := func(data string) string {
		return `{"specversion":"1.0","id":"8","source":"/shop","type":"placed","subject":"Grün 100%",` + data + `}`
	}
	return []mode{
		{name: "json", data: `{"a":1}`, args: []string{"--json", `{"a":1}`}, contentType: "application/json"},
		{name: "form", data: "a=b&c=d", args: []string{"--data", "a=b&c=d"}, contentType: "application/x-www-form-urlencoded"},
		{
			name: "every byte", data: string(every), contentType: "application/octet-stream",
			args: append(h("Content-Type", "application/octet-stream"), "--data-binary", "@"+file(t, every)),
		},
		{name: "nothing", args: append(h("Content-Type", "text/plain"), "--data", ""), contentType: "text/plain"},
		{
			name: "chunked", data: "in chunks", contentType: "text/plain",
			args: append(append(h("Transfer-Encoding", "chunked"), h("Content-Type", "text/plain")...), "--data", "in chunks"),
		},
		{
			name: "upload", data: "a file", contentType: "text/plain",
			args: append(h("Content-Type", "text/plain"), "--request", "POST", "--upload-file", file(t, []byte("a file"))),
		},
		{
			name: "binary event", data: "<a/>", contentType: "application/xml", kind: "placed", subject: `Grün "100%"`,
			args: append(event(h("ce-type", "placed"), h("ce-subject", `Gr%C3%BCn%20%22100%25%22`), h("Content-Type", "application/xml")), "--data", "<a/>"),
		},
		{
			name: "quoted binary event", data: "x", contentType: "text/plain", kind: "placed", subject: `a "b" ü`,
			args: append(event(h("ce-type", "placed"), h("ce-subject", `"a \"b\" ü"`), h("Content-Type", "text/plain")), "--data", "x"),
		},
		{
			name: "structured event", data: `{"a": [1, "ü"]}`, contentType: "application/json", kind: "placed", subject: "Grün 100%",
			args: append(h("Content-Type", "application/cloudevents+json"), "--data-binary", structured(`"data":{"a": [1, "ü"]}`)),
		},
		{
			name: "structured event with text", data: "ü\n", contentType: "text/plain", kind: "placed", subject: "Grün 100%",
			args: append(h("Content-Type", "application/cloudevents+json; charset=utf-8"), "--data-binary",
				structured(`"datacontenttype":"text/plain","data":"ü\n"`)),
		},
		{
			name: "structured event with bytes", data: string(every), contentType: "image/png", kind: "placed", subject: "Grün 100%",
			args: append(h("Content-Type", "application/cloudevents+json"), "--data-binary",
				structured(`"datacontenttype":"image/png","data_base64":"`+base64.StdEncoding.EncodeToString(every)+`"`)),
		},
	}
}

// holds requires that a mode's transaction is what was sent.
func (m mode) holds(t *testing.T, tx ergon.Raw, id string) {
	t.Helper()
	require.Equal(t, id, tx.ID())
	require.True(t, bytes.Equal([]byte(m.data), tx.Payload()), "%q was stored of %q", tx.Payload(), m.data)
	require.Equal(t, m.contentType, tx.ContentType())
	require.Equal(t, m.kind, tx.Type())
	require.Equal(t, m.subject, tx.Key())
	require.Equal(t, "http:/in", tx.Source())
}

// Whatever way curl sends it, what is answered with 202 is stored as it was sent.
func TestHTTPCurlModes(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{})
	for i, m := range httpModes(t) {
		c := curl(t, w.at("/in"), append([]string{"--header", "Idempotency-Key: " + string(rune('a'+i))}, m.args...)...)
		id := c.accepted(t)
		all := w.stored(t)
		require.Len(t, all, i+1, m.name)
		m.holds(t, all[i], id)
		require.Equal(t, "no-store", c.header.Get("Cache-Control"))

		again := curl(t, w.at("/in"), append([]string{"--header", "Idempotency-Key: " + string(rune('a'+i))}, m.args...)...)
		require.Equal(t, id, again.accepted(t), m.name)
		require.Len(t, w.stored(t), i+1, "a retry is stored again: %s", m.name)
	}
	form := curl(t, w.at("/in"), "--form", "a=b", "--form", "f=@"+file(t, []byte("in a part")))
	require.Equal(t, form.accepted(t), w.last(t).ID())
	require.Contains(t, w.last(t).ContentType(), "multipart/form-data; boundary=")
	require.Contains(t, string(w.last(t).Payload()), "in a part")
}

// A caller that waits gets the task's answer, its refusal, or a 503.
func TestHTTPCurlWaits(t *testing.T) {
	source := http.NewSource(http.SourceConfig{})
	s := serveHTTP(t, http.ServerConfig{}, func(s *http.Server) {
		require.NoError(t, s.Add(http.Route{Path: "/ask", Headers: []string{"x-tenant"}}, source))
	})
	at := "http://" + s.Addr().String() + "/ask"
	runHTTPEngine(t, source, "ask", http.ReplySink(), answerer{})
	for _, m := range httpModes(t) {
		c := curl(t, at, append([]string{"--header", "X-Tenant: acme"}, m.args...)...)
		require.Equal(t, 200, c.Status, "%s: %s", m.name, c.body)
		require.Equal(t, "acme: "+m.data, c.body, m.name)
		require.NotEmpty(t, c.header.Get("Ergon-Transaction"))
		require.Equal(t, "nosniff", c.header.Get("X-Content-Type-Options"))
	}
	refused := curl(t, at, "--data", "bad")
	refused.problem(t, 422, "it is bad")
	require.Len(t, refused.blocks, 1)
	s.Drain()
	drained := curl(t, at, "--data", "x")
	drained.problem(t, 503, "stopping")
	require.Equal(t, "1", drained.header.Get("Retry-After"))
	require.Equal(t, "close", drained.header.Get("Connection"))
}
