package cli_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
)

// holding is a task that holds what it began until its process's input ends.
type holding struct{ released chan struct{} }

func (h holding) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	fmt.Println("begun", tx.ID())
	select {
	case <-h.released:
		return tx.Payload(), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var holdingTask = app.Tasks(func() app.Task {
	h := holding{make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(h.released)
	}()
	return app.Consume("share", h)
})

// sharer is one of the processes that share a durable.
type sharer struct {
	*exec.Cmd
	input io.Closer
	lines *bufio.Scanner
}

func (w *riskyWorld) share(t *testing.T) *sharer {
	t.Helper()
	s := &sharer{Cmd: w.command(t, "holding", "run", "--log-level", "error")}
	s.WaitDelay = time.Second
	var err error
	s.input, err = s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	s.lines = bufio.NewScanner(out)
	require.NoError(t, s.Start())
	return s
}

// begun are the next n transactions that the process began.
func (s *sharer) begun(t *testing.T, n int) (ids []string) {
	t.Helper()
	for len(ids) < n {
		require.True(t, s.lines.Scan(), "the process ended with %d of %d begun", len(ids), n)
		if id, ok := strings.CutPrefix(s.lines.Text(), "begun "); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Two processes share a durable, each with its hands full of long transactions. One
// is killed: the other does all of them, each once, when the leases of the dead are
// over. How long that takes is logged: it is the ack wait, less the time since the
// last renewal, plus the work.
func TestSharedDurableOneKilled(t *testing.T) {
	// Nobody can hold more than its part, so each holds exactly that.
	const ackWait, concurrency, prefetch = "2s", 20, 1
	const part, all = concurrency + prefetch, 2 * (concurrency + prefetch)
	w := newRiskyWorld(t, slices.Repeat([]string{"order"}, all)...)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "ergon.yaml"), fmt.Appendf(nil, `
tasks:
  share:
    source: { jetstream: { stream: IN, subjects: [in], ack_wait: %s } }
    routes: { out: { jetstream: { stream: OUT, subject: out } } }
    consumer: { loop: { concurrency: %d, prefetch: %d } }
`, ackWait, concurrency, prefetch), 0o600))
	outputs, err := w.ConsumeConn().SubscribeSync("out")
	require.NoError(t, err)
	renewals, err := w.ConsumeConn().SubscribeSync("$JS.ACK.IN.share.>")
	require.NoError(t, err)
	require.NoError(t, w.Flush(t.Context()))

	victim, heir := w.share(t), w.share(t)
	lost := victim.begun(t, concurrency)
	own := heir.begun(t, concurrency)
	held := map[string]bool{}
	for len(held) < all { // the leases of all of them were renewed: nothing came back that is held
		m, err := renewals.NextMsg(30 * time.Second)
		require.NoError(t, err)
		require.Equal(t, "+WPI", string(m.Data), "nothing is settled yet")
		held[m.Subject] = true
	}
	info, err := w.ConsumerInfo(t.Context(), "IN", "share")
	require.NoError(t, err)
	require.Equal(t, all, info.AckPending)
	require.Zero(t, info.Redelivered)

	killed := time.Now()
	require.NoError(t, victim.Process.Kill())
	require.NoError(t, heir.input.Close())
	first, last := time.Duration(0), time.Duration(0)
	ends := map[string]int{}
	for range all {
		m, err := outputs.NextMsg(60 * time.Second)
		require.NoError(t, err)
		id := m.Header["ce-causationid"][0]
		ends[id]++
		last = time.Since(killed)
		if first == 0 && slices.Contains(lost, id) {
			first = last
		}
	}
	require.Error(t, victim.Wait())
	require.Len(t, ends, all, "each is done, and none twice")

	// The heir began its own and those of the dead, each once.
	began := append(own, heir.begun(t, all-concurrency)...)
	require.NoError(t, heir.Process.Signal(syscall.SIGTERM))
	for heir.lines.Scan() {
		require.NotContains(t, heir.lines.Text(), "begun")
	}
	require.NoError(t, heir.Wait(), "a clean drain")
	for _, id := range lost {
		require.Contains(t, began, id)
		require.NotContains(t, own, id)
	}
	slices.Sort(began)
	require.Len(t, slices.Compact(began), all)
	require.Len(t, w.headers(t, "OUT"), all)
	require.Empty(t, w.headers(t, bus.DefaultDeadStream))
	info, err = w.ConsumerInfo(t.Context(), "IN", "share")
	require.NoError(t, err)
	require.Zero(t, info.AckPending+int(info.Pending))
	t.Logf("with an ack wait of %s the first of the dead process's %d transactions was done %v after it was killed, the last %v",
		ackWait, part, first.Round(time.Millisecond), last.Round(time.Millisecond))
}
