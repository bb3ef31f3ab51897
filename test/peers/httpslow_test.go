package peers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/connectors/http"
)

// httpSoon is a server that has as little patience as one that is attacked.
var httpSoon = http.ServerConfig{ReadHeaderTimeout: time.Second, ReadTimeout: time.Second, IdleTimeout: time.Second}

// What slow clients begin with, and what they add to it every 20 ms for as long as they
// are let.
const (
	slowHeaders = "POST /in HTTP/1.1\r\nHost: h\r\n"
	slowHeader  = "X: y\r\n"
	slowBody    = "POST /in HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
	slowChunks  = "POST /in HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	slowChunk   = "1\r\nx\r\n"
	idle        = "POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
)

// crowd are connections that are slow.
type crowd struct {
	t      *testing.T
	conns  []net.Conn
	wg     sync.WaitGroup
	faults chan error
}

// slowloris opens many connections that begin with begin and go on with more.
func slowloris(t *testing.T, address string, many int, begin, more string) *crowd {
	t.Helper()
	c := &crowd{t: t, faults: make(chan error, many)}
	t.Cleanup(c.leave)
	for range many {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		c.conns = append(c.conns, conn)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, begin)
		require.NoError(t, err)
		ended := make(chan struct{})
		c.wg.Go(func() {
			defer close(ended)
			_, err := io.Copy(io.Discard, conn)
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				c.faults <- fmt.Errorf("%q is still let", begin)
			}
		})
		c.wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ended:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, more) // which fails when it is closed
				}
			}
		})
	}
	return c
}

// closed waits until the server has closed them all.
func (c *crowd) closed() {
	c.t.Helper()
	c.wg.Wait()
	select {
	case err := <-c.faults:
		require.NoError(c.t, err)
	default:
	}
}

// leave closes them.
func (c *crowd) leave() {
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.wg.Wait()
}

// Some hundred clients that send their headers slowly, or their bodies, or nothing at all,
// keep nobody else from being answered, and are closed in the end; nginx lets a body take
// for ever.
func TestHTTPSlowloris(t *testing.T) {
	w := newHTTPWorld(t, httpSoon)
	n := proxied(t, w, "", "keepalive_timeout 1s;")
	for at, address := range map[string]string{w.at("/in"): w.Addr().String(), n.at("/in"): n.address} {
		before := len(w.stored(t))
		crowds := map[string]*crowd{}
		for begin, more := range map[string]string{slowHeaders: slowHeader, slowBody: "x", slowChunks: slowChunk, idle: "", "": ""} {
			crowds[begin] = slowloris(t, address, 80, begin, more)
		}
		for range 20 {
			curl(t, at, "--data", "x").accepted(t)
		}
		require.Len(t, w.stored(t), before+20)
		for begin, c := range crowds {
			if address == n.address && (begin == slowBody || begin == slowChunks) {
				c.leave()
			} else {
				c.closed()
			}
		}
		require.Len(t, w.stored(t), before+20, "of those nothing is stored")
	}
}

// Slow bodies take the places that a route has: others are told to come again, and find
// one when those are closed. Behind an nginx, which reads bodies first, they take none.
func TestHTTPSlowBodiesFillARoute(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{ReadTimeout: 2 * time.Second}, http.Route{Path: "/in", Concurrency: 10, RetryAfter: 2 * time.Second})
	n := proxied(t, w, "", "")
	slow := slowloris(t, n.address, 100, slowBody, "x")
	for range 20 {
		curl(t, n.at("/in"), "--data", "x").accepted(t)
	}
	slow.leave()

	slow = slowloris(t, w.Addr().String(), 30, slowBody, "x")
	eventually(t, func() error {
		full := curl(t, w.at("/in"), "--data", "x")
		if full.Status == 202 {
			return errNotYet // they are not all there
		}
		full.problem(t, 429, "too many requests are under way")
		require.Equal(t, "2", full.header.Get("Retry-After"))
		return nil
	})
	slow.closed()
	curl(t, w.at("/in"), "--data", "y").accepted(t)
	all := w.payloads(t)
	require.Equal(t, append(slices.Repeat([]string{"x"}, len(all)-1), "y"), all)
}
