package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus/embedded"
)

// A stop while NATS is away is clean where nothing is held and nothing waits to be sent,
// and takes no time. What can't be told to NATS any more is said once.
func TestStopWhileNATSIsAway(t *testing.T) {
	for _, held := range []bool{false, true} {
		server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
		require.NoError(t, err)
		t.Cleanup(server.Shutdown)
		s := newShell(t)
		config := fmt.Sprintf("bus: { url: %q }%s", server.URL(), slowConfig)
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, "slow.yaml"), []byte(config), 0o600))
		if held {
			s.run("1\n", "publish", "slow.in")
		}
		signals, _, code, _ := s.start("", "", "run")
		says := func(text, why string) {
			require.Eventually(t, func() bool { return strings.Contains(s.stderr.String(), text) }, time.Minute, time.Millisecond, why)
		}
		if held {
			<-s.slow.started
		} else {
			says("ERGON_PARKED/", "its consumers are made")
		}
		server.Shutdown()
		says(`"disconnected from NATS, reconnecting" connection=consume`, "")
		signals <- syscall.SIGTERM
		close(s.slow.finish)
		got, said := <-code, s.stderr.String()
		if !held {
			require.Zero(t, got, said)
			require.NotContains(t, said, "\nergon: ")
			continue
		}
		require.Equal(t, 3, got, said)
		require.Equal(t, 1, strings.Count(said, "were not sent, acknowledgements above all"), said)
		require.NotContains(t, said, "context deadline exceeded")
	}
}
