package jetstream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/connectors/connectortest"
	"github.com/ergon-framework/ergon/connectors/jetstream"
)

func TestConformance(t *testing.T) {
	connectortest.Run(t, connectortest.Harness{
		New: conformanceTransport, Lease: 2 * time.Second,
		Features: []connectortest.Feature{
			connectortest.Persistent, connectortest.Shared, connectortest.Ordered, connectortest.Redelivers,
			connectortest.CountsDeliveries, connectortest.Leases, connectortest.DeadLetters, connectortest.Drains,
			connectortest.Deduplicates, connectortest.Plain, connectortest.MultiValue, connectortest.CountsUnacked,
			connectortest.Reconnects, connectortest.Defers, connectortest.RecordsStarts,
		},
	})
}

// conformanceTransport is a stream on a server with a port, so that it can go and come
// back. Each source and each sink has connections of its own, as a process has.
func conformanceTransport(t testing.TB, lease time.Duration) connectortest.Transport {
	options := embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"}
	server, err := embedded.Start(t.Context(), options)
	require.NoError(t, err)
	options.Listen = strings.TrimPrefix(server.URL(), "nats://")
	t.Cleanup(func() { server.Shutdown() })

	at := serverAt(server.URL())
	admin := at.connect(t)
	_, err = admin.Ensure(t.Context(), bus.Topology{Streams: []bus.Stream{{Name: "Q", Subjects: []string{"q.>"}}}})
	require.NoError(t, err)
	consumer := bus.Consumer{Stream: "Q", Durable: "task", AckWait: lease}
	_, _, err = admin.EnsureConsumer(t.Context(), consumer)
	require.NoError(t, err)

	return connectortest.Transport{
		Source: func(t testing.TB) ergon.Source {
			b := at.connect(t)
			pub := at.publisher(t, b)
			letters, err := b.NewDeadLetters(t.Context(), bus.DeadLetterConfig{}, pub)
			require.NoError(t, err)
			at.closeAtEnd(t, letters.Close)
			parking, err := b.NewParking(t.Context(), bus.ParkingConfig{}, pub)
			require.NoError(t, err)
			source, err := jetstream.NewSource(t.Context(), jetstream.SourceConfig{
				Bus: b, DeadLetters: letters, Parking: parking, Starts: b.NewStarts(1), Task: "task", Consumer: consumer,
				CheckEvery: time.Second, // of which Lag is, that is waited for
			})
			require.NoError(t, err)
			return source
		},
		Sink: func(t testing.TB) ergon.Sink {
			sink, err := jetstream.NewSink(at.publisher(t, at.connect(t)), "q.lines")
			require.NoError(t, err)
			return sink
		},
		Publish: func(t testing.TB, m connectortest.Message) {
			_, err := admin.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "q.plain", Header: m.Header, Data: m.Payload})
			require.NoError(t, err)
		},
		DeadLetters: func(t testing.TB) (letters []connectortest.DeadLetter) {
			require.NoError(t, admin.Scan(t.Context(), bus.DefaultDeadStream, nil, false, func(m *nats.Msg, _ bus.Meta) error {
				letters = append(letters, connectortest.DeadLetter{Payload: m.Data, Reason: m.Header.Get("Ergon-Dead-Reason")})
				return nil
			}))
			return letters
		},
		Unacked: func(t testing.TB) int {
			info, err := admin.ConsumerInfo(t.Context(), consumer.Stream, consumer.Durable)
			require.NoError(t, err)
			return info.AckPending
		},
		Down: func(testing.TB) { server.Shutdown() },
		Up: func(t testing.TB) {
			server, err = embedded.Start(t.Context(), options)
			require.NoError(t, err)
		},
	}
}

// serverAt is a server's URL.
type serverAt string

func (at serverAt) connect(t testing.TB) *bus.Bus {
	b, err := bus.Connect(t.Context(), bus.Config{URL: string(at)})
	require.NoError(t, err)
	at.closeAtEnd(t, b.Close)
	return b
}

func (at serverAt) publisher(t testing.TB, b *bus.Bus) *bus.Publisher {
	p, err := b.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	at.closeAtEnd(t, p.Close)
	return p
}

func (at serverAt) closeAtEnd(t testing.TB, close func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = close(ctx) // which fails where the connection was lost and is not back yet
	})
}
