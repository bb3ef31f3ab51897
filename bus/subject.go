package bus

import (
	"errors"
	"fmt"
	"strings"
)

// CheckSubject says what keeps a subject from being published to; nil when
// nothing does. Wildcards are for subscribing.
func CheckSubject(subject string) error {
	if subject == "" {
		return errors.New("it is empty")
	}
	if i := strings.IndexFunc(subject, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return fmt.Errorf("%q has a space or control character at byte %d", subject, i)
	}
	for token := range strings.SplitSeq(subject, ".") {
		switch token {
		case "":
			return fmt.Errorf("%q has an empty token: it begins or ends with a dot, or has two in a row", subject)
		case "*", ">":
			return fmt.Errorf("%q has the wildcard %q, which is for subscribing", subject, token)
		}
	}
	if strings.HasPrefix(subject, "$") {
		return fmt.Errorf("%q is the server's own: a subject does not begin with $", subject)
	}
	return nil
}

// SubjectMatches reports whether a subscription to pattern would get subject.
func SubjectMatches(pattern, subject string) bool {
	for pattern != "" && subject != "" {
		var p, s string
		p, pattern, _ = strings.Cut(pattern, ".")
		s, subject, _ = strings.Cut(subject, ".")
		if p == ">" && pattern == "" {
			return true
		}
		if p != "*" && p != s {
			return false
		}
	}
	return pattern == "" && subject == ""
}
