package bus_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestPullerDeliversEverythingInOrder(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	const n = 20000
	fillNumbered(t, b, n)
	for _, max := range []int{1, 2, 20, 500} {
		n := n
		if max <= 2 {
			n /= 5 // these take a round trip for each message or two
		}
		t.Run("max="+strconv.Itoa(max), func(t *testing.T) {
			durable := "d" + strconv.Itoa(max)
			_, _, err := b.EnsureConsumer(ctx, bus.Consumer{Stream: "S", Durable: durable})
			require.NoError(t, err)
			// With such a long heartbeat a stall would outlast the test.
			p := puller(t, b, bus.PullConfig{Stream: "S", Durable: durable, Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
			var msgs []*nats.Msg
			for got := 0; got < n; {
				var err error
				msgs, err = p.Fetch(ctx, max, msgs[:0])
				require.NoError(t, err)
				for _, m := range msgs {
					if string(m.Data) != strconv.Itoa(got) {
						require.FailNow(t, "out of order", "%q at %d", m.Data, got)
					}
					require.NoError(t, bus.Ack(m))
					got++
				}
			}
		})
	}
}

func TestPullerAsksForNoMoreThanItsCallerHasRoomFor(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	fillNumbered(t, b, 500)
	p := puller(t, b, bus.PullConfig{})
	held, bound := 0, 0
	for _, ask := range []int{10, 1, 7, 40, 3, 3, 100, 1, 1, 20} {
		for range 5 {
			msgs, err := p.Fetch(ctx, ask, nil)
			require.NoError(t, err)
			require.LessOrEqual(t, len(msgs), ask)
			held += len(msgs)
			// Where max has shrunk, what was asked before still comes.
			bound = max(bound, ask) - len(msgs)
			// The server answers this after it has delivered what it will for the
			// requests it has.
			info, err := b.ConsumerInfo(ctx, "S", "d")
			require.NoError(t, err)
			require.LessOrEqual(t, info.AckPending, held+bound, "fetched %d, max %d", held, ask)
		}
	}
}

func TestPullerTakesNothingAfterAFullFetch(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	fillNumbered(t, b, 20)
	p := puller(t, b, bus.PullConfig{})
	left := 5 // a limit, as of a run that takes five and no more
	for left > 0 {
		msgs, err := p.Fetch(ctx, left, nil)
		require.NoError(t, err)
		left -= len(msgs)
		for _, m := range msgs {
			require.NoError(t, b.ConfirmAck(ctx, m))
		}
	}
	info, err := b.ConsumerInfo(ctx, "S", "d")
	require.NoError(t, err)
	require.Zero(t, info.AckPending, "nothing beyond the limit was delivered")
	require.EqualValues(t, 15, info.Pending)
}

func TestPullerCloseHandsBackWhatWasNotFetched(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	p := puller(t, b, bus.PullConfig{})
	const n = 500
	_, err := p.Fetch(ctx, n, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
	fillNumbered(t, b, n) // comes for the request that is open
	require.Eventually(t, func() bool {
		info, err := b.ConsumerInfo(ctx, "S", "d")
		return err == nil && info.AckPending == n
	}, patience, time.Millisecond)
	require.NoError(t, p.Close(ctx))
	require.NoError(t, p.Close(ctx), "again")
	// The ack deadline is beyond the test's: only what was handed back comes.
	require.Len(t, drain(ctx, t, puller(t, b, bus.PullConfig{}), n), n)
}

// Requests are open, and messages on their way, when the puller is closed.
func TestPullerCloseUnderLoad(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	const n, rounds = 2000, 10
	fillNumbered(t, b, n)
	seen := make(map[string]bool)
	for range rounds {
		p := puller(t, b, bus.PullConfig{})
		for fetched := 0; fetched < n/rounds/2; {
			msgs, err := p.Fetch(ctx, 100, nil)
			require.NoError(t, err)
			fetched += len(msgs)
			for _, m := range msgs {
				seen[string(m.Data)] = true
				require.NoError(t, bus.Ack(m))
			}
		}
		require.NoError(t, p.Close(ctx))
	}
	for _, s := range drain(ctx, t, puller(t, b, bus.PullConfig{}), 100) {
		seen[s] = true
	}
	require.Len(t, seen, n)
}

func TestPullerIsNotDrainedWhileAnotherHoldsALease(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = time.Second })
	fillNumbered(t, b, 1)
	killed := puller(t, b, bus.PullConfig{})
	msgs, err := killed.Fetch(ctx, 1, nil)
	require.NoError(t, err)
	require.Len(t, msgs, 1) // and is never acknowledged

	p := puller(t, b, bus.PullConfig{})
	msgs, err = p.Fetch(ctx, 1, nil)
	require.NoError(t, err, "the lease runs out, and the message comes to us")
	require.Equal(t, "0", string(msgs[0].Data))
	meta, err := bus.ParseReply(msgs[0].Reply)
	require.NoError(t, err)
	require.EqualValues(t, 2, meta.Delivered)
	require.NoError(t, bus.Ack(msgs[0]))
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
}

func TestPullerIsNotDrainedWhileItsCallerHolds(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	msgs, err := p.Fetch(ctx, 5, nil)
	require.NoError(t, err)

	looked := make(chan error, 1)
	go func() {
		_, err := p.Fetch(ctx, 5, nil)
		looked <- err
	}()
	require.NoError(t, bus.Nak(msgs[0], time.Millisecond))
	require.NoError(t, receive(ctx, t, looked), "it came back")
}

func TestPullerDrainedOnAnEmptyStream(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{})
	for range 3 {
		_, err := p.Fetch(ctx, 10, nil)
		require.ErrorIs(t, err, bus.ErrDrained)
	}
	// The requests are still open, so what comes now is announced and fetched.
	fillNumbered(t, b, 3)
	receive(ctx, t, p.Ready())
	require.Equal(t, []string{"0", "1", "2"}, drain(ctx, t, p, 10))
}

func TestPullerNoticesADeletedConsumer(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 10, nil) // leaves a request open
	require.ErrorIs(t, err, bus.ErrDrained)
	require.NoError(t, b.JetStream().DeleteConsumer(ctx, "S", "d"))
	for range 2 {
		_, err = p.Fetch(ctx, 10, nil)
		require.ErrorIs(t, err, bus.ErrConsumerGone)
		require.ErrorContains(t, err, `"d"`)
	}

	topology(t, b)
	fillNumbered(t, b, 100)
	require.Len(t, drain(ctx, t, p, 10), 100)
}

func TestPullerNoticesAConsumerDeletedWhileItWaits(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 1, nil) // held, so the consumer is not drained
	require.NoError(t, err)
	gone := make(chan error, 1)
	go func() {
		_, err := p.Fetch(ctx, 1, nil)
		gone <- err
	}()
	require.Eventually(t, func() bool {
		info, err := b.ConsumerInfo(ctx, "S", "d")
		return err == nil && info.Waiting > 0
	}, patience, time.Millisecond)
	require.NoError(t, b.JetStream().DeleteConsumer(ctx, "S", "d"))
	require.ErrorIs(t, receive(ctx, t, gone), bus.ErrConsumerGone)
}

func TestPullerNoticesAMissingStream(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{})
	require.NoError(t, b.JetStream().DeleteStream(ctx, "S"))
	_, err := p.Fetch(ctx, 10, nil) // the first request meets nobody
	require.ErrorIs(t, err, bus.ErrStreamGone)
}

func TestPullerWorksOnWhenItsConsumerIsReplaced(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{Expires: 10 * time.Minute, Heartbeat: 4 * time.Minute})
	_, err := p.Fetch(ctx, 10, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
	require.NoError(t, b.JetStream().DeleteConsumer(ctx, "S", "d"))
	topology(t, b)
	fillNumbered(t, b, 50)
	require.Len(t, drain(ctx, t, p, 10), 50)
}

func TestPullerServesOneFetchAtATime(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 1, nil) // held: the next one waits
	require.NoError(t, err)
	first, cancel := context.WithCancel(ctx)
	defer cancel()
	result := fetching(first, p, 1)
	require.Eventually(t, func() bool {
		info, err := b.ConsumerInfo(ctx, "S", "d")
		return err == nil && info.Waiting > 0
	}, patience, time.Millisecond)
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrConcurrentFetch)
	cancel()
	require.ErrorIs(t, receive(ctx, t, result), context.Canceled)
	_, err = p.Fetch(ctx, 0, nil)
	require.ErrorContains(t, err, "max 0")
}

func TestPullerCloseEndsAFetch(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 1, nil)
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() {
		_, err := p.Fetch(ctx, 1, nil)
		result <- err
	}()
	require.NoError(t, p.Close(ctx))
	require.ErrorIs(t, receive(ctx, t, result), bus.ErrClosed)
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrClosed)
}

func TestPullerStopLeavesWhatIsBuffered(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 1, nil) // asks for one
	require.ErrorIs(t, err, bus.ErrDrained)
	fillNumbered(t, b, 5)
	receive(ctx, t, p.Ready())
	p.Stop()
	msgs, err := p.Fetch(ctx, 10, nil)
	require.NoError(t, err)
	require.Len(t, msgs, 1)
	_, err = p.Fetch(ctx, 10, msgs)
	require.ErrorIs(t, err, bus.ErrClosed)
}

func TestPullerAppends(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	fillNumbered(t, b, 1)
	before := &nats.Msg{Subject: "before"}
	msgs, err := puller(t, b, bus.PullConfig{}).Fetch(ctx, 1, []*nats.Msg{before})
	require.NoError(t, err)
	require.Len(t, msgs, 2)
	require.Same(t, before, msgs[0])
}

func TestPullerEndsWithTheBus(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	_, err := p.Fetch(ctx, 1, nil)
	require.NoError(t, err)
	result := make(chan error, 1)
	go func() {
		_, err := p.Fetch(ctx, 1, nil)
		result <- err
	}()
	require.NoError(t, b.Close(ctx))
	require.ErrorIs(t, receive(ctx, t, result), bus.ErrClosed)
	require.Error(t, p.Close(ctx), "nothing can be handed back any more")
	_, err = b.NewPuller(bus.PullConfig{Stream: "S", Durable: "d"})
	require.ErrorIs(t, err, bus.ErrClosed)
}

func TestPullConfig(t *testing.T) {
	b := newBus(t)
	for name, cfg := range map[string]bus.PullConfig{
		"no stream":       {Durable: "d"},
		"dotted durable":  {Stream: "S", Durable: "a.b"},
		"long heartbeat":  {Stream: "S", Durable: "d", Expires: time.Second, Heartbeat: time.Second},
		"negative bytes":  {Stream: "S", Durable: "d", MaxBytes: -1},
		"negative expiry": {Stream: "S", Durable: "d", Expires: -1},
	} {
		_, err := b.NewPuller(cfg)
		require.Error(t, err, name)
	}
}
