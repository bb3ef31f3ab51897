package http_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

// A body that is too long is refused, said or not said how long it is, and nothing of it
// stored.
func TestBodyLimit(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in", MaxBody: 100})
	chunked := func(body string) response {
		req := r.request("POST", "/in", "")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		return r.do(req)
	}
	require.Equal(t, 202, r.post("/in", strings.Repeat("x", 100)).StatusCode)
	require.Equal(t, 202, chunked(strings.Repeat("y", 100)).StatusCode)
	r.post("/in", strings.Repeat("x", 101)).problem(t, 413, "longer than this route takes")
	chunked(strings.Repeat("x", 101)).problem(t, 413, "longer than this route takes")
	chunked(strings.Repeat("x", 1<<20)).problem(t, 413, "longer than this route takes")
	require.Len(t, s.stored(), 2)
	require.Equal(t, strings.Repeat("y", 100), string(s.stored()[1].Payload()))
	r.post("/in", "x", "Content-Encoding", "gzip").problem(t, 415, "content encoding")
	r.post("/in", "[]", "Content-Type", "application/cloudevents-batch+json").problem(t, 415, "CloudEvents")
	r.post("/in", "x", "Content-Type", "application/cloudevents+avro").problem(t, 415, "CloudEvents")
}

// A route has its own number of requests that may be under way.
func TestConcurrencyLimit(t *testing.T) {
	s := &shelf{hold: make(chan struct{}), begun: make(chan struct{}, 2)}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	r := serve(t, http.ServerConfig{}, func(server *http.Server) {
		require.NoError(t, server.Add(http.Route{Path: "/a", Concurrency: 2, RetryAfter: 7 * time.Second, Wait: time.Minute}, receiver))
		require.NoError(t, server.Add(http.Route{Path: "/b"}, receiver))
	})
	one, two := r.later("/a", "1"), r.later("/a", "2")
	receive(t, s.begun)
	receive(t, s.begun)
	full := r.post("/a", "3")
	full.problem(t, 429, "too many")
	require.Equal(t, "7", full.Header.Get("Retry-After"))
	three := r.later("/b", "3")
	receive(t, s.begun)
	close(s.hold)
	for _, c := range []<-chan response{one, two, three} {
		require.Equal(t, 202, receive(t, c).StatusCode)
	}
	require.Equal(t, 202, r.later2("/a", "4").StatusCode, "there is room again")
}

// later2 posts until it is not refused for want of room: a slot is free a moment after the
// answer that frees it.
func (r *rig) later2(path, body string) (resp response) {
	eventually(r.t, func() bool {
		resp = r.post(path, body)
		return resp.StatusCode != 429
	})
	return resp
}

// raw writes bytes to the server, and reads the status that it answers, and whether the
// connection goes on.
func (r *rig) raw(text string) (status int, closed bool) {
	r.t.Helper()
	c, err := (&net.Dialer{}).DialContext(r.t.Context(), "tcp", r.Addr().String())
	require.NoError(r.t, err)
	defer c.Close() //nolint:errcheck // it is a test's
	require.NoError(r.t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, text)
	require.NoError(r.t, err)
	resp, err := nethttp.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(r.t, err, text)
	defer resp.Body.Close() //nolint:errcheck // it was only read
	return resp.StatusCode, resp.Close
}

// What two programs could read as two different requests is refused.
func TestAmbiguousRequests(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in/{x}", Headers: []string{"X-Tag"}})
	for _, bad := range []struct {
		status int
		lines  string
	}{
		{501, "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{501, "Transfer-Encoding: identity\r\n\r\n"},
		{501, "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
		{501, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
		{400, "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"},
		{400, "Content-Length: +3\r\n\r\nabc"},
		{400, "Content-Length: 3, 3\r\n\r\nabc"},
		{400, "Content-Length: -1\r\n\r\n"},
		{400, "X-Tag : a\r\nContent-Length: 0\r\n\r\n"},
		{400, "X-Tag: a\x00b\r\nContent-Length: 0\r\n\r\n"},
		{400, "X-Tag: a\tb\r\nContent-Length: 0\r\n\r\n"},
		{400, "X-Tag: \xff\xfe\r\nContent-Length: 0\r\n\r\n"},
		{400, "X-Tag: \xc2\x85\r\nContent-Length: 0\r\n\r\n"},
		{400, "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"},
		{400, "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n"},
		{417, "Expect: something\r\nContent-Length: 0\r\n\r\n"},
	} {
		status, _ := r.raw("POST /in/x HTTP/1.1\r\nHost: h\r\n" + bad.lines)
		require.Equal(t, bad.status, status, bad.lines)
	}
	for _, path := range []string{"/in/%0a", "/in/%ff", "/in/%C2%85"} {
		r.post(path, "x").problem(t, 400, "the path")
	}
	status, _ := r.raw("POST /in/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
	require.Equal(t, 400, status, "no host")
	require.Empty(t, s.stored())
}

// Of a length and chunks together the chunks count, and HTTP/1.0 has none, as RFC 9112
// says. Who looked at the other sees another request behind it, so nothing behind is read.
func TestNothingBehindAnAmbiguousRequest(t *testing.T) {
	s := &shelf{}
	r := receiving(t, s, http.Route{Path: "/in"})
	const behind, te = "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nbehind", "Transfer-Encoding: chunked\r\n\r\n"
	for _, a := range []struct {
		status int
		text   string
	}{
		{202, "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n" + te + "1\r\na\r\n0\r\n\r\n"},
		{202, "POST /in HTTP/1.1\r\nHost: h\r\n" + te + "1\r\na\r\n0\r\n\r\n"},
		{404, "POST /other HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n" + te + "0\r\n\r\n"},
		{202, "POST /in HTTP/1.0\r\nConnection: keep-alive\r\n" + te},
	} {
		status, closed := r.raw(a.text + behind)
		require.Equal(t, a.status, status, a.text)
		require.True(t, closed, a.text)
	}
	require.Len(t, s.stored(), 3)
	for _, tx := range s.stored() {
		require.NotEqual(t, "behind", string(tx.Payload()))
	}
	_, closed := r.raw(behind)
	require.False(t, closed, "one that is clear leaves the connection")
}

// Headers that are too long, headers that do not come and bodies that do not come end.
func TestSlowAndLargeRequests(t *testing.T) {
	s := &shelf{}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: s})
	require.NoError(t, err)
	cfg := http.ServerConfig{MaxHeader: 1 << 10, ReadHeaderTimeout: 50 * time.Millisecond, ReadTimeout: 100 * time.Millisecond, IdleTimeout: 50 * time.Millisecond}
	r := serve(t, cfg, func(server *http.Server) { require.NoError(t, server.Add(http.Route{Path: "/in"}, receiver)) })
	status, _ := r.raw("POST /in HTTP/1.1\r\nHost: h\r\nX-Long: " + strings.Repeat("x", 8<<10) + "\r\n\r\n")
	require.Equal(t, 431, status)
	for _, slow := range []string{"Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"} {
		status, closed := r.raw("POST /in HTTP/1.1\r\nHost: h\r\n" + slow)
		require.Equal(t, 408, status)
		require.True(t, closed)
	}
	for what, begun := range map[string]string{
		"headers": "POST /in HTTP/1.1\r\nHost: h\r\n", "nothing": "",
		"idle": "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
	} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.Addr().String())
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprint(c, begun)
		require.NoError(t, err)
		_, err = io.ReadAll(c)
		if err != nil { // cut
			var timeout net.Error
			require.False(t, errors.As(err, &timeout) && timeout.Timeout(), what)
		}
		require.NoError(t, c.Close())
	}
	require.Len(t, s.stored(), 1, "the one before it was idle")
}
