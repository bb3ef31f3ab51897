package config

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// A reference such as ${NAME:-x} holds characters that mean something in YAML:
// between braces, { url: ${URL} } would end at the first }. So before the file is
// parsed those characters are replaced, each by one from a range that stands for
// nothing, and put back in every text that comes out. A character for a character:
// lines and columns stay.
const (
	coverBase = 0xE900 // in Unicode's private use area
	coverLast = coverBase + 0x7F
	covered   = "{}[],:#&*!|>%@-?` "
)

var reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^{}\r\n]*)?\}`)

// cover hides the references of a text from the YAML parser.
func cover(text string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(covered, r) {
				return coverBase + r
			}
			return r
		}, ref)
	})
}

// uncover takes it back.
func uncover(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= coverBase && r <= coverLast {
			return r - coverBase
		}
		return r
	}, text)
}

// check refuses what is no text at all, and gives it back without the mark that
// some editors put at its beginning.
func (l *loader) check(data []byte) (string, bool) {
	whole := func(message string) (string, bool) {
		l.fail(place{}, nil, "%s", message)
		return "", false
	}
	switch {
	case len(data) > maxSize:
		return whole("is longer than 4 MiB, which no configuration is: check the name of the file")
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return whole("is UTF-16: save it as UTF-8")
	case bytes.IndexByte(data, 0) >= 0:
		return whole("is a binary file and not YAML: check the name of the file")
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// The parser takes each of the three for the end of a line, but not always for
	// the same one.
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	l.raw = text
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			l.fail(placeOf(text, i), nil, "is not UTF-8: save the file as UTF-8")
			return "", false
		case r >= coverBase && r <= coverLast:
			l.fail(placeOf(text, i), nil, "the character %U is for private use and cannot stand here: remove it", r)
			return "", false
		}
		i += size
	}
	return text, true
}
