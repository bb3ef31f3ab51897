package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// visible is s as a terminal may show it in one line: what is not printable is
// written as Go escapes it. Anybody can put escape sequences, or characters that
// turn the direction of writing, into what ends as a dead letter.
func visible(s string) string {
	return escape(s, func(r rune) string {
		q := strconv.QuoteRune(r)
		return q[1 : len(q)-1]
	})
}

// visibleText is visible for text of several lines.
func visibleText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		line, _ = strings.CutSuffix(line, "\r")
		fields := strings.Split(line, "\t")
		for k, f := range fields {
			fields[k] = visible(f)
		}
		lines[i] = strings.Join(fields, "\t")
	}
	return strings.Join(lines, "\n")
}

// visibleJSON escapes in JSON what is not printable. Outside of its strings JSON
// has nothing of that kind.
func visibleJSON(s string) string {
	return escape(s, func(r rune) string {
		if hi, lo := utf16.EncodeRune(r); hi != unicode.ReplacementChar {
			return fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

func escape(s string, how func(rune) string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(how(r))
		}
		i += n
	}
	return b.String()
}

// isText reports that a payload is better shown as text than as bytes. Escape
// sequences don't speak against it: a log line may have some.
func isText(data []byte) bool {
	if !utf8.Valid(data) {
		return false
	}
	for _, b := range data {
		if b < ' ' && b != '\t' && b != '\n' && b != '\r' && b != 0x1b {
			return false
		}
	}
	return true
}

// isPlain reports that a terminal can be sent data as it is.
func isPlain(data []byte) bool { return isText(data) && visibleText(string(data)) == string(data) }

// terminalWidth is 0 if w is none.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// cutLines ends each line after width characters.
func cutLines(s string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		text, end := strings.CutSuffix(line, "\n")
		if chars := []rune(text); len(chars) > width {
			text = string(chars[:width-1]) + "…"
		}
		b.WriteString(text)
		if end {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
