package http_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	nethttp "net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// rawServer answers each request, once it is whole, with f, which has the connection.
func rawServer(t *testing.T, f func(c net.Conn, n int)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var n atomic.Int32
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			go func() {
				defer stop()
				defer func() { _ = c.Close() }()
				in := bufio.NewReader(c)
				for {
					q, err := nethttp.ReadRequest(in)
					if err != nil {
						return
					}
					if _, err := in.Discard(int(q.ContentLength)); err != nil {
						return
					}
					f(c, int(n.Add(1)))
				}
			}()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

func say(c net.Conn, format string, a ...any) { _, _ = fmt.Fprintf(c, format, a...) }

func TestSinkFaults(t *testing.T) {
	stall := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) } // until the client goes
	endless := func(c net.Conn) {
		for junk := make([]byte, 64<<10); ; {
			if _, err := c.Write(junk); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		answer  func(c net.Conn)
		options http.SinkOptions
		want    ergon.Category // "" for success
		text    string
	}{
		"reset": {answer: func(c net.Conn) {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}, want: ergon.CategorySystem, text: "reset by peer"},
		"closed":       {answer: func(c net.Conn) { _ = c.Close() }, want: ergon.CategorySystem, text: "EOF"},
		"garbage":      {answer: func(c net.Conn) { say(c, "+OK\r\n") }, want: ergon.CategorySystem, text: "malformed"},
		"half headers": {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nX-A: b"); _ = c.Close() }, want: ergon.CategorySystem, text: "EOF"},
		"endless headers": {answer: func(c net.Conn) {
			say(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := c.Write([]byte("X-A: 0123456789012345678901234567890123456789\r\n")); err != nil {
					return
				}
			}
		}, want: ergon.CategorySystem, text: "headers"},
		"stall": {answer: stall, options: http.SinkOptions{Timeout: 50 * time.Millisecond},
			want: ergon.CategoryTimeout, text: "it took longer than 50ms"},
		"slow headers": {answer: stall, options: http.SinkOptions{HeaderTimeout: 50 * time.Millisecond},
			want: ergon.CategoryTimeout, text: "timeout awaiting response headers"},
		"switching": {answer: func(c net.Conn) { say(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n") }, want: ergon.CategorySystem, text: "101"},
		// What confirms is the status.
		"half a body":  {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); _ = c.Close() }},
		"endless body": {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\n\r\n"); endless(c) }},
		"huge body":    {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"); endless(c) }},
		"stalled body": {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"); stall(c) }},
		"half a refusal": {answer: func(c net.Conn) { say(c, "HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\nhalf"); _ = c.Close() },
			want: ergon.CategoryBusiness, text: "400 Bad Request: half"},
		"stalled refusal": {answer: func(c net.Conn) { say(c, "HTTP/1.1 400 Bad\r\nContent-Length: 100\r\n\r\nhalf"); stall(c) },
			want: ergon.CategoryBusiness, text: "400 Bad Request: half"},
		"stalled redirect": {answer: func(c net.Conn) {
			say(c, "HTTP/1.1 307 Go\r\nLocation: /\r\nContent-Length: 100\r\n\r\nhalf")
			stall(c)
		}, want: ergon.CategorySystem, text: "307 Temporary Redirect, and it does not end: half"},
		"endless failure":   {answer: func(c net.Conn) { say(c, "HTTP/1.1 503 No\r\n\r\n"); endless(c) }, want: ergon.CategorySystem, text: "503"},
		"gzip that is none": {answer: func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := c.options
			o.URL = rawServer(t, func(conn net.Conn, _ int) { c.answer(conn) })
			err := send(t, newSink(t, o), order())
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.want, category(err), "%v", err)
			require.ErrorContains(t, err, c.text)
			require.ErrorContains(t, err, "POST "+o.URL)
		})
	}
}

func TestSinkFindsNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	err = send(t, newSink(t, http.SinkOptions{URL: "http://" + l.Addr().String()}), order())
	require.Equal(t, ergon.CategorySystem, category(err))
	require.ErrorContains(t, err, "connection refused")
}

// A connection that the server closed while it was idle costs no attempt.
func TestSinkOutlivesAnIdleConnection(t *testing.T) {
	url := rawServer(t, func(c net.Conn, n int) {
		if n == 2 { // it was about to close anyway
			_ = c.Close()
			return
		}
		say(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	s := newSink(t, http.SinkOptions{URL: url})
	for range 3 {
		require.NoError(t, send(t, s, order()))
	}
}

func TestSinkEndsWithItsContext(t *testing.T) {
	arrived := make(chan struct{}, 2)
	url := rawServer(t, func(c net.Conn, _ int) {
		arrived <- struct{}{}
		_, _ = c.Read(make([]byte, 1))
	})
	s := newSink(t, http.SinkOptions{URL: url})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(errors.New("stopped")) }()
	err := sendWith(t, ctx, s, order())
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, ergon.CategorySystem, category(err))

	late, cancelLate := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelLate()
	err = sendWith(t, late, s, order())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, ergon.CategoryTimeout, category(err))
}

func TestSinkCloseWaitsAndGivesUp(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(nethttp.ResponseWriter, *nethttp.Request) { close(arrived); <-release })
	s, err := http.NewSink(http.SinkOptions{URL: r.URL})
	require.NoError(t, err)
	done := make(chan error, 1)
	s.Send(t.Context(), order(), func(err error) { done <- err })
	<-arrived
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Close(ended), context.Canceled)
	require.Empty(t, done, "a Close that gave up does not answer for the server")
	close(release)
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, answered(t, done))
	s.Send(t.Context(), order(), func(err error) { done <- err })
	require.ErrorIs(t, answered(t, done), ergon.ErrClosed)
}
