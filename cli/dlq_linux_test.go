package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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

// terminal is one of that width, and what has come to its screen since it was
// last asked.
func terminal(t *testing.T, width uint16) (tty *os.File, screen func() string) {
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
	return tty, func() string {
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
