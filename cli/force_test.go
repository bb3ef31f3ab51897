package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app"
)

// forced is how long a forced end may take: a second, and what a busy machine adds.
const forced = 1500 * time.Millisecond

// hanging is a service that hangs in its start, or in its stop.
type hanging struct {
	start, stop chan struct{} // nil for not at all
	began       chan struct{}
}

func (h *hanging) Start(context.Context) error { return h.hang(h.start) }
func (h *hanging) Stop(context.Context) error  { return h.hang(h.stop) }

func (h *hanging) hang(until chan struct{}) error {
	if until != nil {
		close(h.began)
		<-until
	}
	return nil
}

// A second signal ends the process within a second, whatever ignores its context: a
// task, or a service after it. It says what was abandoned, and that comes back.
func TestSecondSignalIsPrompt(t *testing.T) {
	for name, h := range map[string]*hanging{"task": {}, "task and service": {stop: make(chan struct{}), began: make(chan struct{})}} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			s.run("1\n2\n3\n4\n5\n", "publish", "slow.in")
			s.text = true
			s.modules = app.Service(func() *hanging { return h })
			signals, stopping, code, stdout := s.start("", "stopping", "run")
			<-s.slow.started
			<-s.slow.started
			signals <- syscall.SIGTERM
			<-stopping
			began := time.Now()
			signals <- syscall.SIGTERM
			require.Equal(t, 143, <-code)
			require.Less(t, time.Since(began), forced)
			t.Logf("ended %v after the second signal", time.Since(began))
			require.Regexp(t, `(?m)^drained slow: 0 finished, \d released, 2 abandoned, in \S+; what was abandoned comes again when its leases end$`, s.stderr.String())
			require.Contains(t, stdout.String(), "2 abandoned")
			require.Regexp(t, `level=WARN msg="task ended: what is abandoned comes back when its lease ends" task=slow .* abandoned=2 .*transactions="?\[`, s.stderr.String())
			close(s.slow.finish)
			if h.stop != nil {
				close(h.stop)
			}
			s.text, s.modules = false, app.Tasks()
			require.Contains(t, s.run("", "run", "--until-empty"), `"succeeded":5`)
		})
	}
}

// A start that hangs in a service is forced as well.
func TestSecondSignalWhileAServiceStarts(t *testing.T) {
	s := newShell(t)
	h := &hanging{start: make(chan struct{}), began: make(chan struct{})}
	defer close(h.start)
	s.modules = app.Service(func() *hanging { return h })
	signals, _, code, _ := s.start("", "", "run")
	<-h.began
	began := time.Now()
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	require.Equal(t, 143, <-code)
	require.Less(t, time.Since(began), forced)
}

// The first signal says how the drain went: on stderr for a person, in the result with
// --json. A third may begin before the signal has come through.
func TestDrainReport(t *testing.T) {
	for _, text := range []bool{true, false} {
		s := newShell(t)
		s.run("1\n2\n3\n4\n5\n6\n", "publish", "slow.in")
		s.text = text
		signals, stopping, code, stdout := s.start("", "stopping", "run")
		<-s.slow.started
		<-s.slow.started
		signals <- syscall.SIGTERM
		<-stopping
		close(s.slow.finish)
		require.Zero(t, <-code)
		if text {
			require.Regexp(t, regexp.MustCompile(`(?m)^drained slow: [23] finished, \d released, 0 abandoned, in \S+$`), s.stderr.String())
		} else {
			require.NotContains(t, s.stderr.String(), "drained slow")
			found := regexp.MustCompile(`"fetched":(\d),"started":(\d),.*"drained":\[\{"task":"slow","finished":([23]),"released":(\d),"lost":0,"abandoned":0,"took_ns":\d+,"ended":true\}\]`).FindStringSubmatch(stdout.String())
			require.Len(t, found, 5, stdout.String())
			n := func(i int) int { return int(found[i][0] - '0') }
			require.Equal(t, n(2), n(3), "what began was finished")
			require.Equal(t, n(1), n(3)+n(4), "and the rest was given back")
		}
	}
}

// More attempts that ignore their contexts than there are slots end the process, with 1
// and the reason, though their code never returns.
func TestStuckTasksEndTheProcess(t *testing.T) {
	s := newShell(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "slow.yaml"), []byte(strings.Replace(slowConfig, "loop: { concurrency: 2, prefetch: 1 }",
		"loop: { concurrency: 1, prefetch: 1 }\n      process: { retry: { timeout: 50ms } }\n      transaction: { stuck_after: 50ms }", 1)), 0o600))
	s.run("1\n2\n3\n4\n5\n6\n", "publish", "slow.in")
	defer close(s.slow.finish)
	_, _, code, stdout := s.start("", "", "run")
	require.Equal(t, app.ExitFailed, <-code)
	require.Contains(t, s.stderr.String(), `ergon: task "slow": too many tasks ignore their cancelled context`)
	require.Contains(t, s.stderr.String(), `msg="the run ends: what runs is drained"`)
	require.Contains(t, stdout.String(), `"stuck":2`)
}
