package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ergon-framework/ergon/cli"
)

// On a terminal a listing keeps to its width, JSON is indented, and bytes that
// could take it over are not written.
func TestDeadLettersOnATerminal(t *testing.T) {
	g := newGraveyard(t)
	g.bury(nats.Header{"Ergon-Dead-Task": {"score"}, "Ergon-Dead-Reason": {strings.Repeat("long ", 100)}}, `{"a":1}`)
	g.bury(nats.Header{"Ergon-Dead-Task": {"score"}}, "\x1b[2J")
	tty, screen := terminal(t, 100)
	run := func(args ...string) (int, string) {
		code, stderr := g.ergon(tty, args...)
		require.Empty(t, stderr)
		return code, screen()
	}
	code, text := run("ls")
	require.Zero(t, code)
	require.Contains(t, text, "…\n")
	require.Contains(t, text, "long long long ")
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 100)
	}
	tty, screen = terminal(t, 60)
	_, text = run("ls")
	require.Contains(t, text, strings.Repeat("long ", 10), "the reason is seen, if on a second line")
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\n"))), 120)
	}
	_, text = run("show", "1")
	require.Contains(t, text, "\n{\n  \"a\": 1\n}\n")
	_, text = run("show", "1", "--payload")
	require.Equal(t, `{"a":1}`, text)
	code, stderr := g.ergon(tty, "show", "2", "--payload")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "redirect it into a file or a pipe")
	require.Empty(t, screen())
}

// On a terminal it is asked before anything is changed, and a no changes nothing.
func TestRequeueAsksOnATerminal(t *testing.T) {
	g := newGraveyard(t)
	g.buryOrders(3)
	ask := func(answer string, args ...string) (int, string) {
		master, tty, screen := openTerminal(t, 100)
		var out bytes.Buffer
		p := &cli.Process{
			Args: append([]string{"dlq"}, args...), Stdin: tty, Stdout: &out, Stderr: tty,
			Env: func(name string) (string, bool) { return g.url, name == "ERGON_BUS_URL" },
		}
		_, err := master.WriteString(answer) // as if typed ahead
		require.NoError(t, err)
		code := p.Run(context.WithoutCancel(t.Context()))
		return code, screen() + out.String()
	}
	code, text := ask("no\n", "requeue", "--all")
	require.Equal(t, 1, code)
	require.Contains(t, text, "Put back 3 dead letters of ERGON_DLQ (score 3)? [y/N] ")
	require.Contains(t, text, "ergon: nothing was changed\n")
	code, text = ask("\n", "purge", "1")
	require.Equal(t, 1, code)
	require.Contains(t, text, "Delete 1 dead letter of ERGON_DLQ (score 1) for good? [y/N] ")
	require.EqualValues(t, 3, g.count("ERGON_DLQ"))
	code, text = ask("y\n", "requeue", "2")
	require.Zero(t, code)
	require.Contains(t, text, "1 dead letter put back in ")
	code, text = ask("Yes\n", "purge", "--all")
	require.Zero(t, code)
	require.Contains(t, text, "2 deleted, 0 stay, 0 left")
	require.Contains(t, text, "2 dead letters deleted in ")
	require.Zero(t, g.count("ERGON_DLQ"))
}

// terminal is one of that width, and what has come to its screen since it was
// last asked.
func terminal(t *testing.T, width uint16) (tty *os.File, screen func() string) {
	t.Helper()
	_, tty, screen = openTerminal(t, width)
	return tty, screen
}

// openTerminal is terminal, with the end at which somebody types.
func openTerminal(t *testing.T, width uint16) (master, tty *os.File, screen func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tty.Close() })
	require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}))
	const end = "--end--"
	return master, tty, func() string {
		_, err := tty.WriteString(end) // what was written before it lies in the terminal's buffer
		require.NoError(t, err)
		var got []byte
		for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte(end)); {
			n, err := master.Read(buf)
			require.NoError(t, err)
			got = append(got, buf[:n]...)
		}
		return strings.ReplaceAll(strings.TrimSuffix(string(got), end), "\r\n", "\n")
	}
}
