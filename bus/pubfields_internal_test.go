package bus

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// benchFields are the headers of a typical output.
func benchFields(created string) []Field {
	return []Field{
		{"Nats-Msg-Id", "0123456789abcdef0123456789abcdef"}, {"ce-specversion", "1.0"},
		{"ce-id", "0123456789abcdef0123456789abcdef"}, {"ce-source", "/ergon/app/task"}, {"ce-type", "scored"},
		{"ce-time", created}, {"ce-datacontenttype", "application/json"}, {"ce-causationid", "IN:123456"},
		{"ce-correlationid", "IN:123456"}, {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
}

// BenchmarkHeader is making nats.go's headers: where names stay the same only the
// values are written.
func BenchmarkHeader(b *testing.B) {
	fields := benchFields("2010-12-01T08:26:00Z")
	for _, c := range []struct {
		name string
		kept bool
	}{{"reused", true}, {"made anew", false}} {
		b.Run(c.name, func(b *testing.B) {
			w := &wire{}
			b.ReportAllocs()
			for b.Loop() {
				if !c.kept {
					w = &wire{}
				}
				if len(w.set(fields)) != len(fields) {
					b.Fatal("headers are missing")
				}
			}
		})
	}
}

// sink is a server that takes everything and does nothing with it: a real one, in
// this process, would be most of what is measured.
type sink struct{}

func (sink) InProcessConn() (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer func() { _ = server.Close() }()
		if _, err := server.Write([]byte(`INFO {"server_id":"S","version":"2.12.0","proto":1,"headers":true,"max_payload":1048576}` + "\r\n")); err != nil {
			return
		}
		in := bufio.NewReader(server)
		for { // CONNECT, then PING
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "PING\r\n" {
				break
			}
		}
		if _, err := server.Write([]byte("PONG\r\n")); err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, in) // until the client closes it
	}()
	return client, nil
}

// BenchmarkWrite is handing a message of 256 bytes to nats.go, which formats it and
// gives it to its connection.
func BenchmarkWrite(b *testing.B) {
	nc, err := nats.Connect("", nats.InProcessServer(sink{}), nats.NoReconnect())
	require.NoError(b, err)
	defer nc.Close()
	p := &Publisher{confirmer: &confirmer{bus: &Bus{publish: &conn{nc: nc}}}}
	var created [64]string
	for i := range created {
		created[i] = time.Unix(int64(i), 0).UTC().Format(time.RFC3339Nano)
	}
	m := nats.Msg{Subject: "out.scored", Reply: "_INBOX.0123456789abcdef012345.17.4711", Data: make([]byte, 256)}
	for _, kind := range []string{"headers", "plain"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(m.Data)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				var fields []Field
				if kind == "headers" {
					fields = benchFields(created[n%len(created)])
				}
				if err := p.write(m, fields); err != nil {
					b.Fatal(err)
				}
				n++
			}
		})
	}
}
