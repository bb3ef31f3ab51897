package records

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// notText says why s is not text, or "". A NUL is valid UTF-8, but where one
// stands the file is a binary one.
func notText(s []byte) string {
	if i := bytes.IndexByte(s, 0); i >= 0 {
		return fmt.Sprintf("NUL byte at byte %d", i+1)
	}
	if utf8.Valid(s) {
		return ""
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Sprintf("invalid UTF-8 at byte %d", i+1)
		}
		i += n
	}
	return ""
}

// appendQuoted appends s, which is valid UTF-8, as a JSON string.
func appendQuoted[T string | []byte](to []byte, s T) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	begin := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		to = append(to, s[begin:i]...)
		begin = i + 1
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\n':
			to = append(to, `\n`...)
		case '\r':
			to = append(to, `\r`...)
		case '\t':
			to = append(to, `\t`...)
		default:
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	to = append(to, s[begin:]...)
	return append(to, '"')
}

// clip cuts a text that goes into an error message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func tooLarge(max int) string { return fmt.Sprintf("record is larger than %d bytes", max) }
