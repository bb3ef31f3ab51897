package bus

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxReason is how many bytes of a reason are kept, in a dead letter's header
// and in a termination's advisory.
const MaxReason = 1024

// OneLine makes s fit to be one line of a header or a log: runs of white space
// and control characters become one space, what is not UTF-8 becomes U+FFFD,
// and at most max bytes are kept, cut between characters.
func OneLine(s string, max int) string {
	if plainLine(s) {
		return strings.TrimRight(cut(s, max), " ")
	}
	var b strings.Builder
	b.Grow(min(len(s), max))
	gap := false
	for _, r := range s { // an invalid byte arrives as U+FFFD
		if breaks(r) {
			gap = b.Len() > 0
			continue
		}
		need := utf8.RuneLen(r)
		if gap {
			need++
		}
		if b.Len()+need > max {
			break
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plainLine reports that OneLine has nothing to do but cut.
func plainLine(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return true
}

// breaks reports what cannot stand in one line: besides ASCII's controls also
// U+0085, U+2028 and U+2029, which some readers take for the end of a line.
func breaks(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || r == '\u2028' || r == '\u2029'
}

// cut shortens s to at most max bytes without splitting a character.
func cut(s string, max int) string {
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max]
}
