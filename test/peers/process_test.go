package peers

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long anything may take on a busy machine before it counts as lost.
const patience = 60 * time.Second

// process is a child whose output is kept.
type process struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
	err  error         // what Wait said; to be read after done
}

// start starts a program that the test ends, at the latest with itself.
func start(t *testing.T, dir string, env []string, path string, args ...string) *process {
	t.Helper()
	return startAs(t, nil, dir, env, path, args...)
}

// startAs is start as somebody else.
func startAs(t *testing.T, as *syscall.SysProcAttr, dir string, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = as
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = time.Second
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), p.out.String())
		}
	})
	return p
}

// stop asks it to end, and requires that it does well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.end()
	require.NoError(t, p.err, "%s\n%s", p.cmd, p.out.String())
}

func (p *process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ended reports that it has, for whoever waits for what it does.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// output is a buffer that is read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// run runs a program to its end and returns what it wrote.
func run(t *testing.T, stdin []byte, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", cmd, out)
	return string(out)
}

// given are the ports that were given out: the system may name a closed one again.
var given sync.Map

// freePort is an address on the loopback that nobody listens on, and nobody else is
// told of.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		address := l.Addr().String()
		if _, again := given.LoadOrStore(address, true); !again {
			return address
		}
	}
}

// eventually polls until ok returns nil, and fails with its last error.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		require.True(t, time.Now().Before(deadline), "after %v: %v", patience, err)
		<-tick.C
	}
}

// listening polls until a process accepts connections at an address.
func (p *process) listening(t *testing.T, address string) {
	t.Helper()
	eventually(t, func() error {
		require.False(t, p.ended(), "it has ended:\n%s", p.out.String())
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}
