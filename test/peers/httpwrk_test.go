package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
)

// wrked are the answers that wrk had, as httpwrk.lua writes them.
type wrked struct {
	accepted    []string // IDs, in the order of each thread
	unavailable int
	other       []string
}

func readWrk(t *testing.T, dir string) (a wrked) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "answers-*"))
	require.NoError(t, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		lines := strings.Split(string(data), "\n")
		for _, line := range lines[:len(lines)-1] { // the last one may be half written
			switch f := strings.Fields(line); {
			case len(f) == 3 && f[0] == "202" && f[2] != "-":
				a.accepted = append(a.accepted, f[2])
			case len(f) == 3 && f[0] == "503" && f[1] == "1":
				a.unavailable++
			default:
				a.other = append(a.other, line)
			}
		}
	}
	return a
}

// Of what wrk's connections were told that it is stored, all is, and once; while NATS is
// away they are told to come again, and nothing else.
func TestHTTPBurst(t *testing.T) {
	w := newHTTPWorld(t, http.ServerConfig{}, http.Route{Path: "/in", Wait: 200 * time.Millisecond})
	dir := t.TempDir()
	p := start(t, dir, nil, installed(t, "wrk"), "--threads", "2", "--connections", "64", "--duration", "30s",
		"--script", absolute(t, "httpwrk.lua"), w.at("/in"), "--", dir)
	until := func(ok func(wrked) bool) {
		t.Helper()
		eventually(t, func() error {
			if a := readWrk(t, dir); !ok(a) {
				require.False(t, p.ended(), "it ended with %d accepted, %d unavailable\n%s", len(a.accepted), a.unavailable, p.out.String())
				return errNotYet
			}
			return nil
		})
	}
	until(func(a wrked) bool { return len(a.accepted) > 500 })
	w.nats.Shutdown()
	until(func(a wrked) bool { return a.unavailable > 100 })
	before := len(readWrk(t, dir).accepted)
	w.startNATS(t)
	until(func(a wrked) bool { return len(a.accepted) > before+100 })
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt)) // on any machine it had time enough
	<-p.done
	require.NoError(t, p.err, p.out.String())

	a := readWrk(t, dir)
	t.Logf("%d accepted, %d unavailable\n%s", len(a.accepted), a.unavailable, p.out.String())
	require.Empty(t, a.other)
	bodies, ids := map[string]bool{}, map[string]bool{}
	require.NoError(t, w.bus.Scan(t.Context(), "IN", nil, false, func(m *nats.Msg, _ bus.Meta) error {
		require.False(t, bodies[string(m.Data)], "%s is stored twice", m.Data)
		bodies[string(m.Data)], ids[m.Header.Get("Nats-Msg-Id")] = true, true
		return nil
	}))
	told := map[string]bool{}
	for _, id := range a.accepted {
		require.False(t, told[id], "two requests are told that they are %s", id)
		require.True(t, ids[id], "%s was accepted, and is not stored", id)
		told[id] = true
	}
}
