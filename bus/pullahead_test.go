package bus_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// What is asked for and what waits here is max and what is allowed ahead, less what
// the Fetch returned, and as much as that is used. After SetAhead(0) it is max again.
func TestPullerAsksAhead(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b, func(c *bus.Consumer) { c.AckWait = 10 * patience })
	const stored = 2000
	fillNumbered(t, b, stored)
	p := puller(t, b, bus.PullConfig{})
	taken := 0
	// fetch takes what is there and returns how much is asked for or waits here then.
	fetch := func(max int) (n, open int) {
		msgs, err := p.Fetch(ctx, max, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, len(msgs), max)
		taken += len(msgs)
		// The server answers after it has delivered what it will for the requests it
		// has; what it delivered has come here a moment later.
		info, err := b.ConsumerInfo(ctx, "S", "d")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return p.Progress().Came >= uint64(info.AckPending) }, patience, time.Millisecond)
		at := p.Progress()
		return len(msgs), int(at.Came) - taken + at.Asked
	}
	const room, ahead = 10, 50
	most := 0
	p.SetAhead(ahead)
	for range 20 {
		n, open := fetch(room)
		require.LessOrEqual(t, open, room-n+ahead)
		most = max(most, open)
	}
	require.Greater(t, most, room, "it asks ahead")

	p.SetAhead(0)
	for last := most; ; {
		n, open := fetch(room)
		require.LessOrEqual(t, open, max(last-n, room-n), "nothing is asked beyond max")
		if last = open; open <= room-n {
			break
		}
	}
	for range 20 {
		n, open := fetch(room)
		require.LessOrEqual(t, open, room-n)
	}
	p.SetAhead(-1) // no less than none
	n, open := fetch(room)
	require.LessOrEqual(t, open, room-n)
	require.Less(t, taken, stored, "there was always more")
}

// What was asked ahead and does not come is bounded too: a request stays open at the
// server, and no second one is added to it.
func TestPullerAheadWithNothingThere(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	topology(t, b)
	p := puller(t, b, bus.PullConfig{})
	p.SetAhead(50)
	for range 5 {
		_, err := p.Fetch(ctx, 10, nil)
		require.ErrorIs(t, err, bus.ErrDrained)
		require.Equal(t, 60, p.Progress().Asked)
	}
	fillNumbered(t, b, 5)
	require.Len(t, drain(ctx, t, p, 10), 5)
	require.LessOrEqual(t, p.Progress().Asked, 60)
}
