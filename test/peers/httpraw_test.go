package peers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rawHTTP writes bytes to a server as they are, and returns the statuses of what it
// answers until it closes the connection, which it has to.
func rawHTTP(t *testing.T, address, bytes string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	// A server that has seen enough closes, and resets what it had no wish to read.
	_, _ = io.WriteString(conn, bytes)
	r := bufio.NewReader(conn)
	for {
		response, err := nethttp.ReadResponse(r, nil)
		if err != nil {
			timeout, ok := err.(net.Error)
			require.False(t, ok && timeout.Timeout(), "it leaves the connection open after %v", statuses)
			return statuses
		}
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		statuses = append(statuses, response.StatusCode)
	}
}

// smuggled is a request that stands where another one's body is.
const smuggled = "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nsmuggled"

// farewell asks for nothing and makes a server close the connection, where it is read.
const farewell = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// attack is a request of which two servers may think that it ends at different places.
type attack struct {
	name, bytes string
	status      int      // of the first answer
	stored      []string // what is stored of it
}

// attacks are known ways of request smuggling, and malformed requests.
func attacks() []attack {
	post := func(headers, body string) string {
		return "POST /in HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body + farewell
	}
	chunk := func(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }
	length := func(s string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(s)) }
	const te, last = "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"
	return []attack{
		{name: "CL.TE", bytes: post(length(last+smuggled)+te, last+smuggled), status: 202, stored: []string{""}},
		{name: "TE.CL", bytes: post("Content-Length: 4\r\n"+te, chunk(smuggled)+last), status: 202, stored: []string{smuggled}},
		{name: "TE twice", bytes: post(te+te+length(last+smuggled), last+smuggled), status: 501},
		{name: "TE identity", bytes: post(te+"Transfer-Encoding: identity\r\n"+length(last), last+smuggled), status: 501},
		{name: "TE unknown", bytes: post("Transfer-Encoding: xchunked\r\n"+length(last), last+smuggled), status: 501},
		{name: "TE with a space", bytes: post("Transfer-Encoding : chunked\r\n"+length(last), last+smuggled), status: 400},
		{name: "TE with a tab", bytes: post("Transfer-Encoding:\x0bchunked\r\n"+length(last), last+smuggled), status: 400},
		{name: "TE behind a bare LF", bytes: post("X: y\nTransfer-Encoding: chunked\r\n"+length(last+smuggled), last+smuggled), status: 202, stored: []string{""}},
		{name: "TE behind a bare CR", bytes: post("X: y\rTransfer-Encoding: chunked\r\n"+length(last), last+smuggled), status: 400},
		{name: "TE folded", bytes: post("Transfer-Encoding:\r\n chunked\r\n"+length(last+smuggled), last+smuggled), status: 202, stored: []string{""}},
		{name: "TE in HTTP/1.0", bytes: "POST /in HTTP/1.0\r\nConnection: keep-alive\r\n" + te + "\r\n" + smuggled + farewell, status: 202, stored: []string{""}},
		{name: "two lengths", bytes: post("Content-Length: 0\r\n"+length(smuggled), smuggled), status: 400},
		{name: "one length twice", bytes: post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), status: 202, stored: []string{"x"}},
		{name: "lengths in a list", bytes: post("Content-Length: 0, 0\r\n", smuggled), status: 400},
		{name: "length with a sign", bytes: post("Content-Length: +0\r\n", smuggled), status: 400},
		{name: "negative length", bytes: post("Content-Length: -1\r\n", smuggled), status: 400},
		{name: "length in hex", bytes: post("Content-Length: 0x0\r\n", smuggled), status: 400},
		{name: "empty length", bytes: post("Content-Length:\r\n", smuggled), status: 400},
		{name: "length too long for a number", bytes: post("Content-Length: 18446744073709551616\r\n", smuggled), status: 400},
		{name: "folded header", bytes: post("X: a\r\n b\r\nContent-Length: 1\r\n", "x"), status: 202, stored: []string{"x"}},
		{name: "folded first header", bytes: "POST /in HTTP/1.1\r\n X: y\r\nHost: h\r\n" + length(smuggled) + "\r\n" + smuggled, status: 400},
		{name: "bare LF", bytes: strings.ReplaceAll(post("Content-Length: 1\r\n", "x"), "\r\n", "\n"), status: 202, stored: []string{"x"}},
		{name: "NUL in a value", bytes: post("X: a\x00b\r\n"+length(smuggled), smuggled), status: 400},
		{name: "NUL in a name", bytes: post("X\x00: a\r\n"+length(smuggled), smuggled), status: 400},
		{name: "NUL in the path", bytes: "POST /i\x00n HTTP/1.1\r\nHost: h\r\n" + length(smuggled) + "\r\n" + smuggled, status: 400},
		{name: "no colon", bytes: post("X\r\n"+length(smuggled), smuggled), status: 400},
		{name: "huge header", bytes: post("X: "+strings.Repeat("x", 80<<10)+"\r\n"+length(smuggled), smuggled), status: 431},
		{name: "no host", bytes: "POST /in HTTP/1.1\r\n\r\n" + smuggled, status: 400},
		{name: "two hosts", bytes: post("Host: i\r\n"+length(smuggled), smuggled), status: 400},
		{name: "no version", bytes: "POST /in\r\nHost: h\r\n\r\n" + smuggled, status: 400},
		{name: "HTTP/3.0 as text", bytes: "POST /in HTTP/3.0\r\nHost: h\r\n\r\n" + smuggled, status: 505},
		{name: "chunk of a negative size", bytes: post(te, "-1\r\n"+smuggled), status: 400},
		{name: "chunk with 0x", bytes: post(te, "0x1\r\nx\r\n"+last+smuggled), status: 400},
		{name: "chunk too long for a number", bytes: post(te, "10000000000000000\r\n"+smuggled), status: 400},
		{name: "chunk longer than its size", bytes: post(te, "1\r\nxy\r\n"+last+smuggled), status: 400},
		{name: "chunk extension with a bare LF", bytes: post(te, "1;\nx\r\nx\r\n"+last+smuggled), status: 400},
		{name: "trailer with a length", bytes: post(te, "1\r\nx\r\n0\r\nContent-Length: 99\r\n\r\n"), status: 202, stored: []string{"x"}},
		{name: "body where none is looked at", bytes: "POST /nowhere HTTP/1.1\r\nHost: h\r\n" + length(smuggled) + "\r\n" + smuggled + farewell, status: 404},
		{name: "body of a method without", bytes: "GET /in HTTP/1.1\r\nHost: h\r\n" + length(smuggled) + "\r\n" + smuggled + farewell, status: 405},
		{name: "body that is too long", bytes: post(length(strings.Repeat(smuggled, 20000)), strings.Repeat(smuggled, 20000)), status: 413},
		{name: "body of an upgrade", bytes: post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 1\r\n", "x"), status: 202, stored: []string{"x"}},
	}
}

// With an nginx in front it is the same, and the next one who sends through it gets his own
// answer.
func TestHTTPSmugglingThroughNginx(t *testing.T) {
	w := newHTTPWorld(t, httpSoon)
	n := proxied(t, w, "", "")
	for _, a := range attacks() {
		for _, path := range []string{"/in", "/stream"} {
			before := w.sequence(t)
			statuses := rawHTTP(t, n.address, strings.Replace(a.bytes, "/in ", path+" ", 1))
			kept := payloadsOf(w.since(t, before))
			t.Logf("%-35s %-8s %v %.40q", a.name, path, statuses, kept)
			require.NotContains(t, kept, "smuggled", a.name)
			if len(statuses) > 0 && statuses[0] == nethttp.StatusAccepted {
				require.Len(t, kept, 1, a.name)
			} else {
				require.Empty(t, kept, a.name)
			}
			c := curl(t, n.at(path), "--data", "victim")
			require.Equal(t, c.accepted(t), w.last(t).ID(), a.name)
			require.Equal(t, "victim", string(w.last(t).Payload()))
		}
	}
}

// However a request says where it ends, of what stands in its body nothing becomes a
// request of its own.
func TestHTTPSmuggling(t *testing.T) {
	for _, a := range attacks() {
		t.Run(strings.ReplaceAll(a.name, "/", ""), func(t *testing.T) {
			w := newHTTPWorld(t, httpSoon)
			statuses := rawHTTP(t, w.Addr().String(), a.bytes)
			t.Log(statuses, w.payloads(t))
			require.NotEmpty(t, statuses)
			require.Equal(t, a.status, statuses[0])
			require.ElementsMatch(t, a.stored, w.payloads(t))
		})
	}
}
