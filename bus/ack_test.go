package bus_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// delivery is one message of a consumer whose ack deadline is never reached.
func delivery(t *testing.T, change ...func(*bus.Consumer)) (*bus.Bus, *bus.Puller, *nats.Msg) {
	t.Helper()
	b := newBus(t)
	topology(t, b, append([]func(*bus.Consumer){func(c *bus.Consumer) { c.AckWait = 10 * patience }}, change...)...)
	fillNumbered(t, b, 1)
	p := puller(t, b, bus.PullConfig{})
	msgs, err := p.Fetch(testContext(t), 1, nil)
	require.NoError(t, err)
	return b, p, msgs[0]
}

func TestAck(t *testing.T) {
	_, p, m := delivery(t)
	require.NoError(t, bus.Ack(m))
	_, err := p.Fetch(testContext(t), 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
}

func TestConfirmAck(t *testing.T) {
	ctx := testContext(t)
	b, _, m := delivery(t)
	require.NoError(t, b.ConfirmAck(ctx, m))
	info, err := b.ConsumerInfo(ctx, "S", "d")
	require.NoError(t, err)
	require.Zero(t, info.AckPending)
}

func TestNak(t *testing.T) {
	_, p, m := delivery(t)
	for _, delay := range []time.Duration{0, -1} {
		require.ErrorIs(t, bus.Nak(m, delay), bus.ErrNakDelay)
	}
	require.NoError(t, bus.Nak(m, time.Millisecond))
	msgs, err := p.Fetch(testContext(t), 1, nil)
	require.NoError(t, err)
	meta, err := bus.ParseReply(msgs[0].Reply)
	require.NoError(t, err)
	require.EqualValues(t, 2, meta.Delivered)
	require.NoError(t, bus.Ack(msgs[0]))
}

func TestTerm(t *testing.T) {
	ctx := testContext(t)
	b, p, m := delivery(t)
	advisories := make(chan *nats.Msg, 1)
	_, err := b.ConsumeConn().ChanSubscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.d", advisories)
	require.NoError(t, err)
	require.NoError(t, bus.Term(m, "hopeless\r\nand long "+strings.Repeat("x", 5000)))
	require.Contains(t, string(receive(ctx, t, advisories).Data), `"hopeless and long xxx`)
	_, err = p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained)
}

func TestInProgressKeepsTheLease(t *testing.T) {
	ctx := testContext(t)
	b, p, m := delivery(t, func(c *bus.Consumer) { c.AckWait = 2 * time.Second })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 30 { // longer than the deadline
		receive(ctx, t, tick.C)
		require.NoError(t, bus.InProgress(m))
		require.NoError(t, b.ConfirmInProgress(ctx, m))
	}
	require.NoError(t, bus.Ack(m))
	_, err := p.Fetch(ctx, 1, nil)
	require.ErrorIs(t, err, bus.ErrDrained, "it was not delivered again")
}

func TestSettlingWhatIsNoDelivery(t *testing.T) {
	require.ErrorIs(t, bus.Ack(nats.NewMsg("x")), nats.ErrMsgNotBound)
	b, _, m := delivery(t)
	require.NoError(t, b.Close(testContext(t)))
	require.ErrorIs(t, bus.Ack(m), nats.ErrConnectionClosed)
	require.ErrorContains(t, bus.InProgress(m), `"s.x"`)
}
