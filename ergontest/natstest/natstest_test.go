package natstest_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon/ergontest/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(t *testing.T) {
	var url string
	t.Run("up", func(t *testing.T) {
		url = natstest.Start(t)
		require.NotEqual(t, url, natstest.Start(t), "each is a server of its own")
		nc, err := nats.Connect(url)
		require.NoError(t, err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		require.NoError(t, err)
		_, err = js.Publish(t.Context(), "s", []byte("1"))
		require.NoError(t, err)
	})
	_, err := nats.Connect(url, nats.NoReconnect())
	require.Error(t, err, "it went with its test")
}
