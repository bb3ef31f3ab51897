package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every test; none should come near it.
const patience = 120 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// closing is for what a Cleanup does: the test's own context has ended then.
func closing() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}

// server starts an embedded server for one test.
func server(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := embedded.Start(testContext(t), o)
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t *testing.T, cfg bus.Config, opts ...bus.Option) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(testContext(t), cfg, opts...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := closing()
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

// newBus is a bus on a server of its own, in process.
func newBus(t *testing.T, opts ...bus.Option) *bus.Bus {
	t.Helper()
	return connect(t, bus.Config{}, append(opts, bus.WithInProcess(server(t, embedded.Options{}).InProcess()))...)
}

// topology makes stream S with subjects s.> and consumer d.
func topology(t *testing.T, b *bus.Bus, change ...func(*bus.Consumer)) {
	t.Helper()
	c := bus.Consumer{Stream: "S", Durable: "d"}
	for _, f := range change {
		f(&c)
	}
	_, err := b.Ensure(testContext(t), bus.Topology{
		Streams:   []bus.Stream{{Name: "S", Subjects: []string{"s.>"}}},
		Consumers: []bus.Consumer{c},
	})
	require.NoError(t, err)
}

func puller(t *testing.T, b *bus.Bus, cfg bus.PullConfig) *bus.Puller {
	t.Helper()
	if cfg.Stream == "" {
		cfg.Stream, cfg.Durable = "S", "d"
	}
	p, err := b.NewPuller(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := closing()
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

func publisher(t *testing.T, b *bus.Bus, cfg bus.PublisherConfig) *bus.Publisher {
	t.Helper()
	p, err := b.NewPublisher(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := closing()
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// outcome is what a done function was told.
type outcome struct {
	ack bus.PubAck
	err error
}

// publish publishes and returns where its outcome will be.
func publish(ctx context.Context, p *bus.Publisher, m *nats.Msg) <-chan outcome {
	c := make(chan outcome, 2) // room for a second call, which would be a fault
	p.Publish(ctx, m, func(a bus.PubAck, err error) { c <- outcome{a, err} })
	return c
}

// receive waits for a value, or fails the test.
func receive[T any](ctx context.Context, t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		require.FailNow(t, "nothing came", "%v", ctx.Err())
		panic("unreachable")
	}
}

// drain fetches and acknowledges until the consumer is drained, and returns the
// payloads.
func drain(ctx context.Context, t *testing.T, p *bus.Puller, max int) []string {
	t.Helper()
	var got []string
	var msgs []*nats.Msg
	for {
		var err error
		msgs, err = p.Fetch(ctx, max, msgs[:0])
		if err != nil {
			require.ErrorIs(t, err, bus.ErrDrained)
			return got
		}
		require.LessOrEqual(t, len(msgs), max)
		for _, m := range msgs {
			got = append(got, string(m.Data))
			require.NoError(t, bus.Ack(m))
		}
	}
}

// fillNumbered publishes payloads 0 to n-1 under s.x.
func fillNumbered(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	ctx := testContext(t)
	p, err := b.NewPublisher(bus.PublisherConfig{})
	require.NoError(t, err)
	run := nats.NewInbox()
	for i := range n {
		// With an ID, so that one which is sent again, since a stream that was just
		// made anew is slow to answer, is not stored twice.
		id := fmt.Sprintf("%s-%d", run, i)
		p.Publish(ctx, &nats.Msg{Subject: "s.x", Data: fmt.Appendf(nil, "%d", i), Header: nats.Header{nats.MsgIdHdr: {id}}}, func(_ bus.PubAck, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, p.Close(ctx))
}

// freePort is an address nobody listens on for the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// logBook collects log lines.
type logBook struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logBook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// limitedConsumer is a consumer such as an operator makes.
func limitedConsumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 10 * time.Second,
		MaxRequestBatch: 3, MaxRequestExpires: 2 * time.Second, MaxRequestMaxBytes: 2048,
	}
}
