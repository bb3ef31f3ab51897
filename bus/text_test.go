package bus_test

import (
	"bufio"
	"net/textproto"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"plain":                   "plain",
		"  two\r\n\tlines \n":     "two lines",
		"nul\x00 bell\a del\x7f":  "nul bell del",
		"next\u0085line\u2028sep": "next line sep",
		"bad\xffutf8":             "bad\ufffdutf8",
		"Größe 12 µs":             "Größe 12 µs",
		" leading":                "leading",
		"trailing ":               "trailing",
		"a  b":                    "a b",
		"\n\n\n":                  "",
		"esc\x1b[31mred":          "esc [31mred",
	} {
		require.Equal(t, want, bus.OneLine(in, 100), "%q", in)
	}
	require.Equal(t, "ab", bus.OneLine("ab cd", 3))
	require.Equal(t, "a", bus.OneLine("aä", 2))
	require.Equal(t, "", bus.OneLine("ä", 1))
	require.Equal(t, "ab", bus.OneLine("ab\ncd", 3))
	require.Len(t, bus.OneLine(strings.Repeat("x", 5000), bus.MaxReason), bus.MaxReason)
}

func FuzzOneLine(f *testing.F) {
	f.Add("two\r\nlines", 10)
	f.Add("\xff\xfe\u2028", 3)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < 0 || max > 1<<16 {
			return
		}
		got := bus.OneLine(s, max)
		require.LessOrEqual(t, len(got), max)
		require.True(t, utf8.ValidString(got))
		require.Equal(t, strings.TrimSpace(got), got)
		require.False(t, strings.ContainsAny(got, "\r\n\x00\u0085\u2028\u2029"))
		require.Equal(t, got, bus.OneLine(got, max), "once more changes nothing")
	})
}

// Whatever a message carries, its dead letter can be sent, and on the wire it
// holds the headers that were meant and no others.
func FuzzDeadMessage(f *testing.F) {
	f.Add("Nats-Msg-Id", "x", "X-Other", "y", "reason")
	f.Add("a\r\nNats-Rollup: all\r\n", "x\r\nNats-TTL: 1s", "nats-TTL", "\r\n\r\npayload", "r\r\n\r\n")
	f.Add("", "", "ergon-dead-reason", "x", "\xff\u2028")
	f.Add("Nats\x00-Ttl", "\x7f", "ä", "b", "c")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2, text string) {
		orig := &nats.Msg{Subject: "s", Data: []byte(text), Header: nats.Header{}}
		orig.Header[name1] = append(orig.Header[name1], value1)
		orig.Header[name2] = append(orig.Header[name2], value2)
		m := bus.DeadMessage(orig, "dlq", bus.DeadLetter{Task: text, Phase: value1, Reason: text, HandlerError: value2, Stream: name1, ID: text})
		require.Equal(t, orig.Data, m.Data)

		// As nats.go writes them, but for what it would repair by itself.
		var wire strings.Builder
		lines := 0
		for k, vs := range m.Header {
			for _, v := range vs {
				lines++
				wire.WriteString(k + ": " + v + "\r\n")
				require.NotRegexp(t, "[\r\n\x00]", v)
			}
			require.Regexp(t, "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", k)
			if strings.HasPrefix(strings.ToLower(k), "nats-") {
				require.Equal(t, "Nats-Msg-Id", k)
			}
		}
		require.Equal(t, lines, strings.Count(wire.String(), "\n"))
		_, err := textproto.NewReader(bufio.NewReader(strings.NewReader(wire.String() + "\r\n"))).ReadMIMEHeader()
		require.NoError(t, err)
		if r := m.Header["Ergon-Dead-Reason"]; len(r) > 0 {
			require.Len(t, r, 1)
			require.LessOrEqual(t, len(r[0]), bus.MaxReason)
			require.True(t, utf8.ValidString(r[0]))
		}
	})
}
