package cli

import (
	"cmp"
	"slices"
	"strings"
)

const (
	// maxKinds bounds what is counted apart: tasks and reasons are what somebody wrote.
	maxKinds = 1000
	// maxKind is how much of a reason tells kinds apart.
	maxKind = 200
)

// tally counts names, up to maxKinds of them; what comes beyond is one sum. The zero
// value is ready.
type tally struct {
	counts map[string]int
	others int
}

// tallied is a name and how often it was added.
type tallied struct {
	Name  string `json:"name"`
	Count int    `json:"letters"`
}

// add counts name, and reports whether it is counted apart.
func (t *tally) add(name string) bool {
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	if _, known := t.counts[name]; !known && len(t.counts) >= maxKinds {
		t.others++
		return false
	}
	t.counts[name]++
	return true
}

// top is the n most frequent, or all for 0, the most frequent first.
func (t *tally) top(n int) []tallied {
	all := make([]tallied, 0, len(t.counts))
	for name, count := range t.counts {
		all = append(all, tallied{name, count})
	}
	slices.SortFunc(all, func(a, b tallied) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return all
}

// reasonKind is a reason without what differs from one transaction to the next: words
// with a digit in them are "#", quoted text is "…".
func reasonKind(reason string) string {
	var b strings.Builder
	for rest := reason; rest != "" && b.Len() < maxKind; {
		if rest[0] == '"' {
			if n := quotedLen(rest); n > 0 {
				b.WriteString(`"…"`)
				rest = rest[n:]
				continue
			}
		}
		n := 0
		for n < len(rest) && ofWord(rest[n]) {
			n++
		}
		if n == 0 {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		word := strings.TrimRight(rest[:n], ".:-") // what ends a sentence, or a clause
		if strings.ContainsAny(word, "0123456789") {
			b.WriteString("#")
		} else {
			b.WriteString(word)
		}
		b.WriteString(rest[len(word):n])
		rest = rest[n:]
	}
	return cutText(b.String())
}

// ofWord reports whether a byte belongs to a word, a number, an ID or an address.
func ofWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("_-.:", c) >= 0
}

// quotedLen is the length of the quoted text that s begins with, 0 if it does not end.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
