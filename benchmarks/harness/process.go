package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// stopTime is how long a child may take to end in order.
const stopTime = 15 * time.Second

// process is a child of the harness: this binary once more.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *json.Decoder
	pipe   io.Closer // that stdout reads
	stderr *tail
	ended  chan struct{} // closed when err is set
	err    error
}

func start(name string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start %s with it: %w", name, err)
	}
	p := &process{name: name, cmd: exec.Command(self, args...), stderr: &tail{}, ended: make(chan struct{})}
	p.cmd.Stderr = p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	// A pipe of our own: that of StdoutPipe is closed by Wait, with what is in it.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.cmd.Stdout, p.stdout, p.pipe = w, json.NewDecoder(r), r
	if err := p.cmd.Start(); err != nil {
		_, _ = r.Close(), w.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	_ = w.Close() // the child has it
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// read reads the child's next line.
func (p *process) read(ctx context.Context, into any) error {
	got := make(chan error, 1)
	go func() { got <- p.stdout.Decode(into) }()
	select {
	case err := <-got:
		if err != nil {
			p.kill()
			return fmt.Errorf("%s said nothing (%w): %s", p.name, err, p.stderr)
		}
		return nil
	case <-ctx.Done(): // the child is stopped or killed next, which ends the goroutine
		return context.Cause(ctx)
	}
}

// stop lets the child end in order, and kills it when it does not.
func (p *process) stop() error {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		p.kill()
		return fmt.Errorf("%s did not end within %s and was killed: %s", p.name, stopTime, p.stderr)
	}
	if p.err != nil {
		return fmt.Errorf("%s failed (%w): %s", p.name, p.err, p.stderr)
	}
	return nil
}

// kill ends the child, by its process, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// cpu is what the child used; it has ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// tail keeps the end of what a child says of its failure.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := bytes.TrimSpace(t.text); len(s) > 0 {
		return string(s)
	}
	return "no word on its standard error"
}
