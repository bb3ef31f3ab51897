package http_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/connectors/http"
)

// taker is a sink that says of everything at once that it is stored.
type taker struct{}

func (taker) Send(_ context.Context, _ ergon.Raw, done func(error)) { done(nil) }
func (taker) Close(context.Context) error                           { return nil }
func (taker) SendOnce(_ context.Context, _ ergon.Raw, done func(func(context.Context) (ergon.Raw, bool, error), error)) {
	done(nil, nil)
}

// blank is a ResponseWriter that costs nothing.
type blank struct {
	header nethttp.Header
	status int
}

func (b *blank) Header() nethttp.Header      { return b.header }
func (b *blank) WriteHeader(status int)      { b.status = status }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }

// What a request costs from net/http's call until its answer is written, without net/http
// and without the storing.
func BenchmarkReceiver(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 256)
	for name, headers := range map[string][]string{
		"keyed":   {"Content-Type", "application/json", "Idempotency-Key", "k-1"},
		"unkeyed": {"Content-Type", "application/json"},
		"event": {"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "e-1", "Ce-Source", "/shop", "Ce-Type", "placed",
			"Ce-Time", "2026-01-02T03:04:05Z", "Traceparent", traceParent},
	} {
		b.Run(name, func(b *testing.B) {
			receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: taker{}})
			require.NoError(b, err)
			server, err := http.NewServer(http.ServerConfig{}, nil)
			require.NoError(b, err)
			require.NoError(b, server.Add(http.Route{Path: "/in", Auth: http.Auth{Anonymous: true}}, receiver))
			handler, err := server.Handler()
			require.NoError(b, err)
			r, err := nethttp.NewRequestWithContext(b.Context(), "POST", "/in", bytes.NewReader(body))
			require.NoError(b, err)
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			reader := bytes.NewReader(body)
			r.Body = io.NopCloser(reader)
			w := &blank{header: make(nethttp.Header, 8)}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				handler.ServeHTTP(w, r)
				if w.status != nethttp.StatusAccepted {
					b.Fatalf("answered with %d", w.status)
				}
			}
		})
	}
}

// What a request costs that a sink sends, net/http's client and a connection of loopback
// with it. What answers allocates nothing.
func BenchmarkSink(b *testing.B) {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answerAll(conn)
		}
	}()
	sink, err := http.NewSink(http.SinkOptions{URL: fmt.Sprintf("http://%s/in", l.Addr())})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, sink.Close(context.Background())) })
	tx := ergon.New(bytes.Repeat([]byte("x"), 256), ergon.WithID("tx-1"), ergon.WithSource("/shop"), ergon.WithType("placed"),
		ergon.WithContentType("application/json"), ergon.WithTrace(ergon.Trace{Parent: traceParent}))
	answers := make(chan error, 1)
	done := func(err error) { answers <- err }
	b.ReportAllocs()
	for b.Loop() {
		sink.Send(b.Context(), tx, done)
		if err := <-answers; err != nil {
			b.Fatal(err)
		}
	}
}

// answerAll answers requests with a body of 256 bytes.
func answerAll(conn net.Conn) {
	defer conn.Close() //nolint:errcheck // nobody is left to be told
	r, answer := bufio.NewReader(conn), []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	for {
		line, err := r.ReadSlice('\n')
		if err == nil && len(line) == len("\r\n") {
			if _, err = r.Discard(256); err == nil {
				_, err = conn.Write(answer)
			}
		}
		if err != nil {
			return
		}
	}
}
