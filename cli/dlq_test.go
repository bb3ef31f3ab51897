package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/bus/embedded"
	"github.com/ergon-framework/ergon/cli"
)

// graveyard is a bus with dead letters.
type graveyard struct {
	t   *testing.T
	bus *bus.Bus
	url string
}

func newGraveyard(t *testing.T) *graveyard {
	server, err := embedded.Start(t.Context(), embedded.Options{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	b, err := bus.Connect(t.Context(), bus.Config{}, bus.WithInProcess(server.InProcess()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.WithoutCancel(t.Context()))) })
	_, err = b.EnsureStream(t.Context(), bus.Stream{Name: "ERGON_DLQ", Subjects: []string{"ergon.dlq.>"}})
	require.NoError(t, err)
	return &graveyard{t, b, server.URL()}
}

// bury stores a letter as anybody could who may publish there.
func (g *graveyard) bury(header nats.Header, data string) {
	g.t.Helper()
	_, err := g.bus.JetStream().PublishMsg(g.t.Context(), &nats.Msg{Subject: "ergon.dlq.score", Header: header, Data: []byte(data)})
	require.NoError(g.t, err)
}

// ergon runs a command in this process.
func (g *graveyard) ergon(stdout io.Writer, args ...string) (code int, stderr string) {
	var errs bytes.Buffer
	p := &cli.Process{
		Args: append([]string{"dlq"}, args...), Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &errs,
		Env: func(name string) (string, bool) { return g.url, name == "ERGON_BUS_URL" },
	}
	return p.Run(context.WithoutCancel(g.t.Context())), errs.String()
}

func (g *graveyard) run(args ...string) string {
	g.t.Helper()
	var out bytes.Buffer
	code, stderr := g.ergon(&out, args...)
	require.Zero(g.t, code, stderr)
	return out.String()
}

// requirePrintable: no terminal is moved by it, and no text turned around.
func requirePrintable(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		require.True(t, r == '\n' || r == '\t' || unicode.IsPrint(r), "%q in %q", r, s)
	}
}

// Everything of a letter may be somebody's who means harm.
func TestHostileDeadLettersAreShownEscaped(t *testing.T) {
	g := newGraveyard(t)
	const evil = "\x1b]0;owned\x07\u009b31m\u202eevil\u2028\xff"
	header := nats.Header{"ce-id": {"%1B[2J%0Aid"}, "X-Evil": {evil, "two"}, "Status": {"404"}}
	for _, name := range []string{
		"Task", "Phase", "Category", "Reason", "Handler-Error", "Attempts", "Deliveries", "Outputs", "First-Seen",
		"Failed-At", "Stream", "Subject", "Sequence", "Timestamp", "Trace-Id", "Requeue", "Dropped",
	} {
		header["Ergon-Dead-"+name] = []string{evil + name, "second"}
	}
	g.bury(header, "line 1"+evil+"\n")
	header["Ergon-Dead-Encoding"], header["Ergon-Dead-Object"] = []string{evil}, []string{evil + "/" + evil}
	g.bury(header, "")

	list := g.run("ls")
	requirePrintable(t, list)
	require.Contains(t, list, `\x1b[2J\nid`)
	require.Contains(t, list, `\x1b]0;owned\a\u009b31m\u202eevil\u2028\xffReason`)
	require.Equal(t, 3, strings.Count(list, "\n"), "a letter is one line")
	for _, seq := range []string{"1", "2"} {
		shown := g.run("show", seq)
		requirePrintable(t, shown)
		require.Contains(t, shown, `X-Evil: \x1b]0;owned\a\u009b31m\u202eevil\u2028\xff`)
		require.Contains(t, shown, "unreadable     Ergon-Dead-Sequence: ")
	}
	require.Contains(t, g.run("show", "2"), "payload: cannot be read: ")

	for _, args := range [][]string{{"stats"}, {"requeue", "--all", "--dry-run"}, {"purge", "--all", "--dry-run"}} {
		requirePrintable(t, g.run(args...))
		text := g.run(append(args, "--json")...)
		requirePrintable(t, text)
		require.True(t, json.Valid([]byte(text)))
	}
	code, errs := g.ergon(io.Discard, "requeue", "1", "2")
	require.Equal(t, 1, code)
	requirePrintable(t, errs)

	var parsed struct {
		Letters []struct{ Reason, ID string }
	}
	text := g.run("ls", "--json")
	requirePrintable(t, text)
	require.NoError(t, json.Unmarshal([]byte(text), &parsed))
	require.Equal(t, "\x1b[2J\nid", parsed.Letters[0].ID)
	require.Equal(t, strings.ToValidUTF8(evil, "\uFFFD")+"Reason", parsed.Letters[0].Reason)
	for _, seq := range []string{"1", "2"} {
		text := g.run("show", seq, "--json")
		requirePrintable(t, text)
		require.True(t, json.Valid([]byte(text)))
	}
	require.Contains(t, g.run("show", "2", "--json"), `"payload_error":`)
	var out bytes.Buffer
	code, stderr := g.ergon(&out, "show", "2", "--payload")
	require.Equal(t, 1, code)
	require.Empty(t, out.String())
	require.Contains(t, stderr, "ergon: payload of the dead letter: object ")
	requirePrintable(t, stderr)
}

func TestDeadPayloadIsShownAsWhatItIs(t *testing.T) {
	g := newGraveyard(t)
	header := nats.Header{"Ergon-Dead-Task": {"score"}}
	binary := strings.Repeat("\x00\x01\x02\xfftail of line 16", 1000)
	long := strings.Repeat("ä", 5000)
	for _, data := range []string{"", "two\r\nlines\tand \x1b[31mred", binary, "x" + long, `{"z":1,"a":[2]}`, "\u202e"} {
		g.bury(header, data)
		var raw bytes.Buffer
		last := g.run("ls", "--limit", "1", "--json")
		var parsed struct{ Letters []struct{ Seq json.Number } }
		require.NoError(t, json.Unmarshal([]byte(last), &parsed))
		code, stderr := g.ergon(&raw, "show", parsed.Letters[0].Seq.String(), "--payload")
		require.Zero(t, code, stderr)
		require.Equal(t, data, raw.String(), "byte for byte")
		requirePrintable(t, g.run("show", parsed.Letters[0].Seq.String(), "--full", "--pretty"))
	}
	require.True(t, strings.HasSuffix(g.run("show", "1"), "\npayload: 0 bytes\n"))
	require.Contains(t, g.run("show", "2"), "bytes\ntwo\nlines\tand \\x1b[31mred\n")
	require.Contains(t, g.run("show", "3"), "bytes\n00000000  00 01 02 ff 74 61 69 6c  20 6f 66 20 6c 69 6e 65  |....tail of line|\n")
	require.Contains(t, g.run("show", "3"), "… 18,488 bytes more: --full shows all, --payload writes it as it is\n")
	require.Contains(t, g.run("show", "3", "--full"), "\n00004a30  ")
	require.NotContains(t, g.run("show", "3", "--full"), "bytes more")
	require.Contains(t, g.run("show", "3", "--json"), `"payload_base64":"AAEC/3`)
	require.Contains(t, g.run("show", "4"), "\nx"+strings.Repeat("ä", 2047)+"\n… 5,906 bytes more")
	require.Contains(t, g.run("show", "4", "--full"), "\nx"+long+"\n")
	require.Contains(t, g.run("show", "5"), "\n"+`{"z":1,"a":[2]}`+"\n")
	require.Contains(t, g.run("show", "5", "--pretty"), "\n  \"z\": 1,\n")
}
