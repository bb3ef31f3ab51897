package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
)

// risky is a task that kills its process, or runs until it is cancelled, where the
// payload says so.
type risky struct{}

func (risky) Process(ctx context.Context, tx ergon.Transaction[string]) (string, error) {
	switch tx.Payload() {
	case "exit":
		os.Exit(9)
	case "memory":
		size := 1 << 47 // no address space has it: the runtime ends the process, and nothing recovers that
		return string(make([]byte, size)), nil
	case "long":
		if os.Getenv("FINISH") == "" {
			fmt.Println("begun")
			<-ctx.Done()
			return "", ctx.Err()
		}
	}
	return tx.Payload(), nil
}

var riskyTask = app.Tasks(func() app.Task { return app.Consume("risky", risky{}) })

// riskyWorld is a server that outlives the processes, and a way to start one.
type riskyWorld struct {
	*bus.Bus
	dir, url string
}

func newRiskyWorld(t *testing.T, payloads ...string) *riskyWorld {
	t.Helper()
	dir := t.TempDir()
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: filepath.Join(dir, "store"), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.WithoutCancel(t.Context()))) })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ergon.yaml"), []byte(`
tasks:
  risky:
    source: { jetstream: { stream: IN, subjects: [in], ack_wait: 1s } }
    routes: { out: { jetstream: { stream: OUT, subject: out } } }
    consumer: { transaction: { max_deliveries: 2 }, shutdown: { grace: 0s } }
`), 0o600))
	_, err = b.EnsureStream(t.Context(), bus.Stream{Name: "IN", Subjects: []string{"in"}})
	require.NoError(t, err)
	for i, p := range payloads {
		_, err := b.JetStream().PublishMsg(t.Context(), &nats.Msg{
			Subject: "in", Data: fmt.Appendf(nil, "%q", p), Header: nats.Header{"Nats-Msg-Id": {fmt.Sprintf("%s-%d", p, i)}},
		})
		require.NoError(t, err)
	}
	return &riskyWorld{Bus: b, dir: dir, url: server.URL()}
}

func (w *riskyWorld) run(t *testing.T, args ...string) *exec.Cmd {
	return w.command(t, "risky", append([]string{"run", "--log-level", "error"}, args...)...)
}

func (w *riskyWorld) command(t *testing.T, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "ERGON_BUS_URL="+w.url)
	return cmd
}

// headers are those of a stream's messages.
func (w *riskyWorld) headers(t *testing.T, stream string) (all []nats.Header) {
	t.Helper()
	err := w.Scan(t.Context(), stream, nil, true, func(m *nats.Msg, _ bus.Meta) error {
		all = append(all, m.Header)
		return nil
	})
	require.NoError(t, err)
	return all
}

// Two payloads that kill their process, one by exiting and one by exhausting the
// memory, become dead letters after max_deliveries recorded crashes; what ran
// beside them, and crashed with them, does well.
func TestCrashLoop(t *testing.T) {
	w := newRiskyWorld(t, "good", "exit", "good", "memory", "good")
	crashes := 0
	for {
		err := w.run(t, "--until-empty").Run()
		if err == nil {
			break
		}
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), "%v", err)
		require.Contains(t, []int{2, 9}, exit.ExitCode(), "a fatal error of the runtime, or the task's own exit")
		crashes++
		// Each may crash twice unrecorded and max_deliveries times recorded.
		require.LessOrEqual(t, crashes, 8, "the loop does not end")
	}
	letters := w.headers(t, bus.DefaultDeadStream)
	require.Len(t, letters, 2)
	ids := map[string]bool{}
	for _, h := range letters {
		ids[h.Get("Ergon-Orig-Nats-Msg-Id")] = true
		require.Contains(t, h.Get("Ergon-Dead-Reason"), "crashed 2 times")
	}
	require.Equal(t, map[string]bool{"exit-1": true, "memory-3": true}, ids)
	require.Len(t, w.headers(t, "OUT"), 3)
	t.Logf("%d crashes", crashes)
}

// Twenty rolling restarts, each of which interrupts the transaction, are no
// crashes: it is not set aside, and ends well when it is let.
func TestRollingRestartsAreNoCrashes(t *testing.T) {
	const restarts = 20
	w := newRiskyWorld(t, "long")
	for range restarts {
		cmd := w.run(t)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "begun\n", line)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), "a clean drain")
	}
	t.Setenv("FINISH", "1")
	began := time.Now()
	require.NoError(t, w.run(t, "--until-empty").Run())
	require.Len(t, w.headers(t, "OUT"), 1)
	require.Empty(t, w.headers(t, bus.DefaultDeadStream))
	info, err := w.ConsumerInfo(t.Context(), "IN", "risky")
	require.NoError(t, err)
	require.Zero(t, info.AckPending+int(info.Pending))
	t.Logf("the last run took %v", time.Since(began))
}
