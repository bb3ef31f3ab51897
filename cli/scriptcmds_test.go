package cli_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what the scripts have beside testscript's own commands.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"plainserver": plainServerCommand,
	"line":        lineCommand,
	"freeport":    freePortCommand,
	"sparse":      sparseCommand,
	"fill":        fillCommand,
	"disk":        diskCommand,
}

// plainServerCommand starts a NATS server without JetStream, and puts its URL into a
// variable: plainserver VAR.
func plainServerCommand(ts *testscript.TestScript, _ bool, args []string) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	ts.Check(err)
	s.Start()
	ts.Defer(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		ts.Fatalf("the server is not ready")
	}
	ts.Setenv(args[0], s.ClientURL())
}

// lineCommand waits for the first line of a named pipe, and puts it into a variable:
// line VAR PIPE. It is how a script learns that a program in the background is ready.
func lineCommand(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("head", "-n", "1", args[1]))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// freePortCommand puts the address of a port that nobody listens on into a variable.
func freePortCommand(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// sparseCommand makes files of a size in bytes that take no room: sparse SIZE FILE…
func sparseCommand(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	for _, name := range args[1:] {
		f, err := os.Create(ts.MkAbs(name))
		ts.Check(err)
		ts.Check(f.Truncate(size))
		ts.Check(f.Close())
	}
}

// fillCommand writes to a file until its disk is full: fill FILE.
func fillCommand(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	for block := make([]byte, 4096); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2] // what is left of the last block is filled too
		}
	}
	ts.Check(f.Close())
}

// measured runs a program, and ends with its exit code, or with 99 where it took more
// memory than it may: measured MIB program args… Under the race detector it may take
// memoryFactor times as much.
func measured() {
	most, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		panic(err)
	}
	most *= memoryFactor
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		panic(err)
	}
	if took := peakMiB(cmd.ProcessState); took > most {
		fmt.Fprintf(os.Stderr, "measured: it took %d MiB, and %d are allowed\n", took, most)
		os.Exit(99)
	}
	os.Exit(cmd.ProcessState.ExitCode())
}

// until runs a program again and again until it prints a text, and fails after a minute:
// until TEXT program args… What it printed then is its own output.
func until() {
	for end := time.Now().Add(time.Minute); ; {
		out, _ := exec.Command(os.Args[2], os.Args[3:]...).CombinedOutput()
		if bytes.Contains(out, []byte(os.Args[1])) {
			_, _ = os.Stdout.Write(out)
			return
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "until: for a minute it printed no %q, at last: %s", os.Args[1], out)
			os.Exit(1)
		}
	}
}

// code runs a program and requires its exit code: code N program args…
func code() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		panic(err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != os.Args[1] {
		fmt.Fprintf(os.Stderr, "code: %s, not %s\n", got, os.Args[1])
		os.Exit(1)
	}
}

// peakMiB is the most memory that a process that has ended had.
func peakMiB(p *os.ProcessState) int64 {
	return int64(p.SysUsage().(*syscall.Rusage).Maxrss) / 1024 //nolint:unconvert // it is 32 bits wide on some
}
