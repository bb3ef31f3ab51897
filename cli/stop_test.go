package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
)

const slowConfig = `
app: slow
tasks:
  slow:
    source: { jetstream: { stream: SLOW, subjects: [slow.in], ack_wait: 2s } }
    consumer:
      loop: { concurrency: 2, prefetch: 1 }
      shutdown: { grace: 20s }
`

// slow is a task that the test holds up.
type slow struct {
	started chan struct{}
	finish  chan struct{}
}

func (s *slow) Process(context.Context, ergon.Transaction[[]byte]) (ergon.None, error) {
	s.started <- struct{}{}
	<-s.finish // it ignores its context
	return ergon.None{}, nil
}

// shell runs commands of a program with the slow task, in this process.
type shell struct {
	t       *testing.T
	dir     string
	slow    *slow
	text    bool      // the result is for a person, and not JSON
	modules fx.Option // beside the task
	stderr  *watcher  // of the command that was started last
}

func newShell(t *testing.T) *shell {
	s := &shell{t: t, dir: t.TempDir(), modules: fx.Options(), slow: &slow{started: make(chan struct{}, 100), finish: make(chan struct{})}}
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "slow.yaml"), []byte(slowConfig), 0o600))
	return s
}

// start runs a command until it ends; logged receives at a log line with the
// text.
func (s *shell) start(stdin, text string, args ...string) (signals chan os.Signal, logged <-chan struct{}, code <-chan int, stdout *bytes.Buffer) {
	signals = make(chan os.Signal, 2)
	stdout = &bytes.Buffer{}
	watch := &watcher{text: text, seen: make(chan struct{})}
	s.stderr = watch
	args = append(args, "-f", filepath.Join(s.dir, "slow.yaml"))
	if !s.text {
		args = append(args, "--json")
	}
	p := &cli.Process{
		Args: args, Stdin: strings.NewReader(stdin),
		Stdout: stdout, Stderr: watch, Signals: signals,
		Env: func(name string) (string, bool) {
			v, ok := map[string]string{"ERGON_BUS_STORE": filepath.Join(s.dir, "store"), "ERGON_BUS_LISTEN": "off"}[name]
			return v, ok
		},
	}
	ended := make(chan int, 1)
	go func() {
		ended <- p.Run(context.Background(), app.Tasks(func() app.Task { return app.Consume("slow", s.slow) }), s.modules)
	}()
	return signals, watch.seen, ended, stdout
}

func (s *shell) run(stdin string, args ...string) string {
	s.t.Helper()
	_, _, code, stdout := s.start(stdin, "", args...)
	require.Zero(s.t, <-code)
	return stdout.String()
}

// watcher is a writer that says when a text was written to it.
type watcher struct {
	text string
	seen chan struct{}
	once sync.Once
	mu   sync.Mutex
	b    bytes.Buffer
}

// String is all that was written.
func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.b.Write(p)
	w.mu.Unlock()
	if w.text != "" && bytes.Contains(p, []byte(w.text)) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// A signal drains: what runs is finished, the rest is given back at once, and
// the exit code is 0.
func TestSignalDrains(t *testing.T) {
	s := newShell(t)
	s.run("1\n2\n3\n4\n5\n6\n", "publish", "slow.in")
	signals, stopping, code, stdout := s.start("", "stopping", "run")
	<-s.slow.started
	<-s.slow.started
	signals <- syscall.SIGTERM
	<-stopping
	close(s.slow.finish)
	require.Zero(t, <-code)
	require.Contains(t, stdout.String(), `"succeeded":2`)
	require.Contains(t, stdout.String(), `"abandoned":0`)
	require.Contains(t, s.run("", "run", "--until-empty"), `"succeeded":4`)
}

// A signal while the run still starts ends it in order, wherever it is by then:
// nothing goes on behind it, and nothing is lost.
func TestSignalWhileStarting(t *testing.T) {
	for _, at := range []string{"admin server listens", "stream created", "connected to NATS", "consumer"} {
		s := newShell(t)
		s.run("1\n2\n3\n", "publish", "slow.in")
		close(s.slow.finish)
		signals, there, code, stdout := s.start("", at, "run")
		<-there
		signals <- syscall.SIGTERM
		require.Zero(t, <-code, at)
		done := 0
		for n := range 4 {
			if strings.Contains(stdout.String(), fmt.Sprintf(`"succeeded":%d`, n)) {
				done = n
			}
		}
		require.Contains(t, s.run("", "run", "--until-empty"), fmt.Sprintf(`"succeeded":%d`, 3-done), at)
	}
}

// A second signal forces the end and shows in the exit code; what was cut off
// comes back.
func TestSecondSignalForces(t *testing.T) {
	s := newShell(t)
	s.run("1\n", "publish", "slow.in")
	signals, stopping, code, stdout := s.start("", "stopping", "run")
	<-s.slow.started
	signals <- syscall.SIGINT
	<-stopping
	signals <- syscall.SIGINT
	require.Equal(t, 130, <-code)
	require.Contains(t, stdout.String(), `"abandoned":1`)
	close(s.slow.finish)
	require.Contains(t, s.run("", "run", "--until-empty"), `"succeeded":1`)
}

// --limit is exact, and ends the run.
func TestLimit(t *testing.T) {
	s := newShell(t)
	close(s.slow.finish)
	s.run("1\n2\n3\n4\n5\n", "publish", "slow.in")
	require.Contains(t, s.run("", "run", "--limit", "3"), `"succeeded":3`)
	require.Contains(t, s.run("", "run", "--until-empty"), `"succeeded":2`)
}
