package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// A message comes back as it was stored, from a work queue too, and stays: also what
// nats.go would take for a status of the server.
func TestMessageAt(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t)
	for name, cfg := range map[string]jetstream.StreamConfig{
		"DIRECT": {AllowDirect: true},
		"QUEUE":  {Retention: jetstream.WorkQueuePolicy},
	} {
		cfg.Name, cfg.Subjects = name, []string{name + ".>"}
		_, err := b.JetStream().CreateStream(ctx, cfg)
		require.NoError(t, err)
		all := []*nats.Msg{
			{Data: []byte("plain")},
			{},
			{Header: nats.Header{"Status": {"404"}, "Description": {"no messages"}}},
			{Header: nats.Header{"a": {"1", "2"}, "Mixed-case": {"é"}}, Data: []byte{0, 0xff, '\r', '\n'}},
		}
		before := time.Now().Add(-time.Second)
		for i, m := range all {
			m.Subject = name + ".x"
			ack, err := b.JetStream().PublishMsg(ctx, m)
			require.NoError(t, err)
			require.EqualValues(t, i+1, ack.Sequence)
		}
		for i, want := range all {
			got, err := b.MessageAt(ctx, name, uint64(i+1))
			require.NoError(t, err)
			require.Equal(t, want.Subject, got.Msg.Subject)
			require.Equal(t, string(want.Data), string(got.Msg.Data))
			require.Equal(t, len(want.Header), len(got.Msg.Header))
			for k, v := range want.Header {
				require.Equal(t, v, got.Msg.Header[k])
			}
			require.EqualValues(t, i+1, got.Sequence)
			require.WithinRange(t, got.StoredAt, before, time.Now().Add(time.Second))
		}
		for _, seq := range []uint64{0, 5, 1 << 63} {
			_, err := b.MessageAt(ctx, name, seq)
			require.ErrorIs(t, err, bus.ErrNoMessage)
			require.ErrorContains(t, err, name)
		}
	}
	_, err := b.MessageAt(ctx, "NOWHERE", 1)
	require.ErrorIs(t, err, bus.ErrStreamGone)
}
