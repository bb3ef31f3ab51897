package kv_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/natstest"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/spec"
)

// TestCluster: a bucket with replicas reports conflicts in other words, and its leader may
// go, and whoever carries the watch.
func TestCluster(t *testing.T) {
	c := natstest.Start(t)
	connect := func() *nats.Conn {
		nc, err := nats.Connect(c.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	three := func(c *spec.KV) { c.Replicas = 3 }
	l := &lossy{JetStream: js(t, connect())}
	s := started[region](t, setup(three), busOf{l})
	follower := started[region](t, setup(func(c *spec.KV) { three(c); c.Cache = true }), kv.Conn(connect()))
	lostAnswers(t, s, l)
	sees(t, follower, "a", region{Name: "other"})

	for range 2 {
		c.AwaitWhole()
		node := c.AwaitLeader("KV_REGIONS", "")
		c.Kill(node)
		c.AwaitLeader("KV_REGIONS", "", node)
		for _, v := range []region{de, fr} {
			eventually(t, "it is written", func() bool { _, err := s.Put(t.Context(), "a", v); return err == nil })
			sees(t, follower, "a", v)
		}
		c.Restart(node)
	}
	healthy(t, follower)
}
