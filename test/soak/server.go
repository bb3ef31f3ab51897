package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus/embedded"
)

// storeVariable makes this command a nats-server with its store in that directory.
const storeVariable = "ERGON_SOAK_STORE"

// serve prints its URL and ends when its input does: so also when whoever started
// it was killed.
func serve(dir string, in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt) // a terminal sends it to both processes; this one is to outlive the other
	server, err := embedded.Start(context.Background(), embedded.Options{StoreDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	defer server.Shutdown()
	if _, err := fmt.Fprintln(out, server.URL()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// serverProcess is this command again, as a server.
type serverProcess struct {
	cmd   *exec.Cmd
	input io.Closer
	url   string
}

func startServer(dir string) (*serverProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), storeVariable+"="+dir)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	s := &serverProcess{cmd: cmd, input: input}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the server did not say where it listens: %w", errors.Join(err, s.stop()))
	}
	s.url = strings.TrimSpace(line)
	return s, nil
}

func (s *serverProcess) stop() error {
	late := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	_ = s.input.Close() // this ends it
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	return nil
}
