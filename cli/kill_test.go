package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

// The plug is pulled in the middle: SIGKILL after some outputs, with deliveries
// unacknowledged. Started again until empty, every line has exactly one end.
func TestKilledHalfWay(t *testing.T) {
	const lines, killAfter = 4000, 500
	dir := t.TempDir()
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: filepath.Join(dir, "store"), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.WithoutCancel(t.Context()))) })

	config := bytes.Replace(retail.Config, []byte("ack_wait: 10s"), []byte("ack_wait: 2s"), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ergon.yaml"), config, 0o600))
	var input bytes.Buffer
	for n := range lines {
		require.NoError(t, json.NewEncoder(&input).Encode(retail.Generate(n)))
	}
	ergon := func(stdin *bytes.Buffer, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "ergon", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ERGON_BUS_URL="+server.URL())
		if stdin != nil {
			cmd.Stdin = stdin
		}
		return cmd
	}
	out, err := ergon(&input, "publish", "retail.lines").CombinedOutput()
	require.NoError(t, err, string(out))

	run := ergon(nil, "run", "--log-level", "error")
	require.NoError(t, run.Start())
	sub, err := b.ConsumeConn().SubscribeSync("retail.scored")
	require.NoError(t, err)
	for range killAfter { // outputs pass by as they are published
		_, err := sub.NextMsg(30 * time.Second)
		require.NoError(t, err)
	}
	require.NoError(t, run.Process.Kill())
	require.Error(t, run.Wait())
	require.NoError(t, sub.Unsubscribe())
	info, err := b.ConsumerInfo(t.Context(), "RETAIL", "score")
	require.NoError(t, err)
	require.Positive(t, info.AckPending, "it was killed with deliveries in its hands")

	out, err = ergon(nil, "run", "--until-empty", "--log-level", "warn", "--json").Output()
	require.NoError(t, err, string(out))
	ends := map[string]int{}
	scan := func(stream, header string) {
		require.NoError(t, b.Scan(t.Context(), stream, nil, true, func(m *nats.Msg, _ bus.Meta) error {
			ends[m.Header[header][0]]++
			return nil
		}))
	}
	scan("RETAIL_OUT", "ce-causationid")
	scan("ERGON_DLQ", "ce-id")
	require.Len(t, ends, lines, "nothing is lost")
	for id, n := range ends {
		require.Equal(t, 1, n, "%s has one end", id)
	}
	info, err = b.ConsumerInfo(t.Context(), "RETAIL", "score")
	require.NoError(t, err)
	require.Zero(t, info.AckPending+int(info.Pending))
}
