package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/cli"
)

// A signal ends a bench, and not what is under way: all that was stored comes out, is
// counted, and nothing is left of the streams. Those that are not the bench's are as
// they were.
func TestBenchInterrupted(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	nc, err := nats.Connect(server.URL())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine.>"}})
	require.NoError(t, err)

	for _, args := range [][]string{nil, {"--rate", "500"}, {"--subject", "mine.in"}} {
		signals, seen := make(chan os.Signal, 1), make(chan *nats.Msg, 1<<16)
		subject := "ergon.bench.*.out"
		if args != nil && args[0] == "--subject" {
			subject = "mine.in"
		}
		sub, err := nc.ChanSubscribe(subject, seen)
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		var stdout, stderr bytes.Buffer
		p := &cli.Process{
			Args: append([]string{"bench", "--on-bus", "--count", "0", "--for", "10m", "--json"}, args...), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
			Env: func(name string) (string, bool) { return server.URL(), name == "ERGON_BUS_URL" }, Signals: signals,
		}
		go func() {
			<-seen
			signals <- syscall.SIGINT
		}()
		code := p.Run(context.WithoutCancel(t.Context()))
		require.NoError(t, sub.Unsubscribe())
		require.Zero(t, code, stderr.String())
		require.Empty(t, stderr.String())
		var told struct {
			Stored, Failed int64
			Outputs        *int64
			PerSecond      float64 `json:"per_second"`
			EndToEnd       *struct {
				P50, P99, Max float64
			} `json:"end_to_end_seconds"`
		}
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &told))
		require.Positive(t, told.Stored)
		require.Zero(t, told.Failed)
		require.Positive(t, told.PerSecond)
		if subject == "mine.in" {
			require.Nil(t, told.Outputs)
			continue
		}
		require.Equal(t, told.Stored, *told.Outputs)
		require.LessOrEqual(t, told.EndToEnd.P50, told.EndToEnd.P99)
		require.LessOrEqual(t, told.EndToEnd.P99, told.EndToEnd.Max)
	}
	var names []string
	for name := range js.StreamNames(t.Context()).Name() {
		names = append(names, name)
	}
	require.Equal(t, []string{"MINE"}, names)
}
