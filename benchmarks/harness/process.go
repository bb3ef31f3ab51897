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
	said   chan word
	pipe   io.Closer // that said is from
	stderr *tail
	ended  chan struct{} // closed when err is set
	err    error
}

// word is what a child says at once, or why it says nothing more.
type word struct {
	text json.RawMessage
	err  error
}

// words is room for more than any child of ours says: whoever gives up waiting for one
// leaves it there.
const words = 8

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
	p.cmd.Stdout, p.said, p.pipe = w, make(chan word, words), r
	if err := p.cmd.Start(); err != nil {
		_, _ = r.Close(), w.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	_ = w.Close() // the child has it
	go p.listen(json.NewDecoder(r))
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// listen ends with the child, or when pipe is closed.
func (p *process) listen(stdout *json.Decoder) {
	for {
		var w word
		w.err = stdout.Decode(&w.text)
		p.said <- w
		if w.err != nil {
			close(p.said)
			return
		}
	}
}

// read reads the child's next line.
func (p *process) read(ctx context.Context, into any) error {
	select {
	case w, open := <-p.said:
		if !open {
			w.err = io.EOF
		}
		if w.err == nil {
			w.err = json.Unmarshal(w.text, into)
		}
		if w.err != nil {
			p.kill()
			return fmt.Errorf("%s said nothing (%w): %s", p.name, w.err, p.stderr)
		}
		return nil
	case <-ctx.Done():
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
