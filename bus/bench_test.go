package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// benchBus is a bus on a server in process, with a memory stream.
func benchBus(b *testing.B) *bus.Bus {
	b.Helper()
	s, err := embedded.Start(b.Context(), embedded.Options{StoreDir: b.TempDir()})
	require.NoError(b, err)
	b.Cleanup(s.Shutdown)
	c, err := bus.Connect(b.Context(), bus.Config{}, bus.WithInProcess(s.InProcess()))
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close(b.Context()) })
	_, err = c.EnsureStream(b.Context(), bus.Stream{Name: "S", Subjects: []string{"s.>"}, Storage: bus.StorageMemory})
	require.NoError(b, err)
	return c
}

func BenchmarkPublisher(b *testing.B) {
	for _, withID := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "headers"}[withID]
		b.Run(name, func(b *testing.B) {
			c := benchBus(b)
			p, err := c.NewPublisher(bus.PublisherConfig{})
			require.NoError(b, err)
			data := make([]byte, 256)
			header := nats.Header{"Ce-Id": {"0198f7a0-0000-7000-8000-000000000000"}, "Ce-Source": {"/ergon/app/task"}}
			done := func(_ bus.PubAck, err error) {
				if err != nil {
					b.Error(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				m := &nats.Msg{Subject: "s.x", Data: data}
				if withID {
					m.Header = header
				}
				p.Publish(b.Context(), m, done)
			}
			require.NoError(b, p.Flush(b.Context()))
			b.StopTimer()
			require.NoError(b, p.Close(b.Context()))
		})
	}
}

func BenchmarkPuller(b *testing.B) {
	for _, max := range []int{1, 20, 500} {
		b.Run(map[int]string{1: "max=1", 20: "max=20", 500: "max=500"}[max], func(b *testing.B) {
			c := benchBus(b)
			fill(b, c, "s.x", b.N, 256)
			_, _, err := c.EnsureConsumer(b.Context(), bus.Consumer{Stream: "S", Durable: "d"})
			require.NoError(b, err)
			p, err := c.NewPuller(bus.PullConfig{Stream: "S", Durable: "d"})
			require.NoError(b, err)
			var msgs []*nats.Msg
			b.ReportAllocs()
			b.ResetTimer()
			for got := 0; got < b.N; {
				msgs, err = p.Fetch(b.Context(), max, msgs[:0])
				require.NoError(b, err)
				for _, m := range msgs {
					require.NoError(b, bus.Ack(m))
				}
				got += len(msgs)
			}
			b.StopTimer()
			require.NoError(b, p.Close(b.Context()))
		})
	}
}

// BenchmarkRelay is fetch, publish, and acknowledge when confirmed.
func BenchmarkRelay(b *testing.B) {
	c := benchBus(b)
	_, err := c.EnsureStream(b.Context(), bus.Stream{Name: "OUT", Subjects: []string{"out.>"}, Storage: bus.StorageMemory})
	require.NoError(b, err)
	fill(b, c, "s.x", b.N, 256)
	_, _, err = c.EnsureConsumer(b.Context(), bus.Consumer{Stream: "S", Durable: "d"})
	require.NoError(b, err)
	p, err := c.NewPuller(bus.PullConfig{Stream: "S", Durable: "d"})
	require.NoError(b, err)
	pub, err := c.NewPublisher(bus.PublisherConfig{})
	require.NoError(b, err)
	var msgs []*nats.Msg
	b.ReportAllocs()
	b.ResetTimer()
	for got := 0; got < b.N; {
		msgs, err = p.Fetch(b.Context(), 1000, msgs[:0])
		require.NoError(b, err)
		for _, m := range msgs {
			pub.Publish(b.Context(), &nats.Msg{Subject: "out.x", Data: m.Data}, func(_ bus.PubAck, err error) {
				if err == nil {
					err = bus.Ack(m)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		got += len(msgs)
	}
	require.NoError(b, pub.Flush(b.Context()))
	b.StopTimer()
	require.NoError(b, pub.Close(b.Context()))
	require.NoError(b, p.Close(b.Context()))
}

func BenchmarkParseReply(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		if _, err := bus.ParseReply("$JS.ACK.ORDERS.billing.1.123456.123400.1761910000000000000.4711"); err != nil {
			b.Fatal(err)
		}
	}
}

// fill publishes n messages of size bytes.
func fill(tb testing.TB, c *bus.Bus, subject string, n, size int) {
	tb.Helper()
	p, err := c.NewPublisher(bus.PublisherConfig{})
	require.NoError(tb, err)
	data := make([]byte, size)
	for range n {
		p.Publish(tb.Context(), &nats.Msg{Subject: subject, Data: data}, func(_ bus.PubAck, err error) {
			if err != nil {
				tb.Error(err)
			}
		})
	}
	require.NoError(tb, p.Close(tb.Context()))
}
