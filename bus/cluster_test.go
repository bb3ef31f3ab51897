package bus_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/natstest"
)

// The leader goes while both directions are busy. Nothing is lost, and what is
// delivered twice says so.
func TestLeaderFailure(t *testing.T) {
	ctx := testContext(t)
	c := natstest.Start(t)
	b := connect(t, bus.Config{URL: c.URL(), ConnectTimeout: patience})
	declared := bus.Topology{
		Streams:   []bus.Stream{{Name: "S", Subjects: []string{"s.>"}, Replicas: 3}},
		Consumers: []bus.Consumer{{Stream: "S", Durable: "d", AckWait: 3 * time.Second}},
	}
	require.Eventually(t, func() bool { // the cluster needs a moment to elect somebody
		_, err := b.Ensure(ctx, declared)
		return err == nil
	}, patience, 50*time.Millisecond)

	const n = 3000
	// A leader that goes takes confirmations with it. The same ID again tells how
	// it ended.
	pub := publisher(t, b, bus.PublisherConfig{Window: 100, Timeout: 2 * time.Second})
	published := make(chan error, 1)
	go func() {
		type result struct {
			i   int
			err error
		}
		results := make(chan result, n)
		send := func(i int) {
			m := &nats.Msg{Subject: "s.x", Data: []byte(strconv.Itoa(i)), Header: nats.Header{"Nats-Msg-Id": {strconv.Itoa(i)}}}
			pub.Publish(ctx, m, func(_ bus.PubAck, err error) { results <- result{i, err} })
		}
		for i := range n {
			send(i)
		}
		for stored := 0; stored < n; {
			r := <-results
			switch {
			case r.err == nil:
				stored++
			case bus.Permanent(r.err) || ctx.Err() != nil:
				published <- r.err
				return
			default:
				send(r.i)
			}
		}
		published <- nil
	}()

	p := puller(t, b, bus.PullConfig{})
	seen := make(map[string]bool, n)
	killed := false
	for len(seen) < n {
		msgs, err := p.Fetch(ctx, 50, nil)
		if errors.Is(err, bus.ErrDrained) {
			continue
		}
		require.NoError(t, err)
		for _, m := range msgs {
			meta, err := bus.ParseReply(m.Reply)
			require.NoError(t, err)
			if seen[string(m.Data)] {
				require.Greater(t, meta.Delivered, uint64(1))
			}
			seen[string(m.Data)] = true
			require.NoError(t, bus.Ack(m))
		}
		if !killed && len(seen) > n/3 {
			killed = true
			c.Kill(c.AwaitLeader("S", ""))
		}
	}
	require.NoError(t, receive(ctx, t, published))
	require.True(t, killed)
}
