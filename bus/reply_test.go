package bus_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

const maxUint64 = "18446744073709551615"

func TestParseReply(t *testing.T) {
	want := bus.Meta{Stream: "ORDERS", Consumer: "billing", Delivered: 2, StreamSeq: 345, ConsumerSeq: 346, Timestamp: 1761910000000000001, Pending: 7}
	hub := want
	hub.Domain = "hub"
	for reply, want := range map[string]bus.Meta{
		"$JS.ACK.ORDERS.billing.2.345.346.1761910000000000001.7":                     want,
		"$JS.ACK._.ABC.ORDERS.billing.2.345.346.1761910000000000001.7":               want,
		"$JS.ACK._.ABC.ORDERS.billing.2.345.346.1761910000000000001.7.rAnDoM":        want,
		"$JS.ACK.hub.ABC.ORDERS.billing.2.345.346.1761910000000000001.7.x.and.more.": hub,
		"$JS.ACK.S.c.0.0.0.0." + maxUint64:                                           {Stream: "S", Consumer: "c", Pending: 1<<64 - 1},
	} {
		got, err := bus.ParseReply(reply)
		require.NoError(t, err, reply)
		require.Equal(t, want, got, reply)
	}
	for _, reply := range []string{
		"", "$JS.ACK", "$JS.ACK.", "$JS.ACK.a.b", "x.JS.ACK.S.c.1.2.3.4.5", "$js.ack.S.c.1.2.3.4.5",
		"$JS.ACK.S.c.1.2.3.4", "$JS.ACK.S.c.1.2.3.4.5.6", "$JS.ACK.S.c.1.2.3.4.x", "$JS.ACK.S.c.1.2.3.4.-5", "$JS.ACK.S.c.1.2.3..5",
		"$JS.ACK..c.1.2.3.4.5", "$JS.ACK.S..1.2.3.4.5", "$JS.ACK.S.c.1.2.3." + maxUint64 + ".5", "$JS.ACK.S.c.1.2.3.4.18446744073709551616",
		"$JS.ACK.S.c.1.2.3.4.000000000000000000000", "_INBOX.x.y", "$JS.ACK.S.c.1.2.3.4." + strings.Repeat("9", 5000),
	} {
		_, err := bus.ParseReply(reply)
		require.ErrorIs(t, err, bus.ErrReply, reply)
		require.Less(t, len(err.Error()), 300)
	}
}

func TestParseReplyAllocatesNothing(t *testing.T) {
	for _, reply := range []string{
		"$JS.ACK.ORDERS.billing.2.345.346.1761910000000000001.7",
		"$JS.ACK.hub.ABC.ORDERS.billing.2.345.346.1761910000000000001.7.rAnDoM",
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := bus.ParseReply(reply); err != nil {
				t.Error(err)
			}
		}))
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("$JS.ACK.ORDERS.billing.2.345.346.1761910000000000001.7")
	f.Add("$JS.ACK.hub.ABC.ORDERS.billing.2.345.346.1761910000000000001.7.rAnDoM")
	f.Add("$JS.ACK.S.c.1.2.3.4.")
	f.Add("..........")
	f.Fuzz(func(t *testing.T, reply string) {
		m, err := bus.ParseReply(reply)
		if err != nil {
			require.ErrorIs(t, err, bus.ErrReply)
			require.Equal(t, bus.Meta{}, m)
			return
		}
		require.NotEmpty(t, m.Stream)
		require.NotEmpty(t, m.Consumer)
		require.NotContains(t, m.Stream+m.Consumer+m.Domain, ".")
		require.GreaterOrEqual(t, m.Timestamp, int64(0))
	})
}
