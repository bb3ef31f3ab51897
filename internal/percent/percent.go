// Package percent encodes what stands in headers as the CloudEvents HTTP binding says
// (§3.1.3.2), for every connector that has headers.
package percent

import "strings"

// A charset says which bytes stand for themselves.
type charset [256]bool

func printableBut(special string) *charset {
	var set charset
	for c := byte(' ' + 1); c < 0x7f; c++ {
		set[c] = strings.IndexByte(special, c) < 0
	}
	return &set
}

var (
	// What the binding leaves as it is: neither space, ", % nor what is not printable
	// ASCII. So no value can break a header.
	inValues = printableBut(`"%`)
	// What may be part of a header's name.
	inNames = printableBut(`"%(),/:;<=>?@[\]{}`)
)

// Value encodes a header's value.
func Value(s string) string { return inValues.encode(s) }

// Name makes a name, of metadata say, part of a header's name.
func Name(s string) string { return inNames.encode(s) }

func (plain *charset) encode(s string) string {
	n := 0
	for i := range len(s) {
		if !plain[s[i]] {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
