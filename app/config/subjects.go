package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Subjects are tokens with dots between. In a pattern, * stands for one token, and
// > for one or more at the end.

// checkSubject says what is wrong with a subject or, where wildcards may stand, a
// pattern.
func checkSubject(subject string, wildcards bool) error {
	if subject == "" {
		return errors.New("a subject is required")
	}
	if i := strings.IndexFunc(subject, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }); i >= 0 {
		return fmt.Errorf("%s is not a subject: it holds white space or a control character", quote(subject))
	}
	tokens := strings.Split(subject, ".")
	for i, t := range tokens {
		switch {
		case t == "":
			return fmt.Errorf("%s is not a subject: a dot stands between two tokens, and not at an end or beside another", quote(subject))
		case t == "*" || t == ">":
			if !wildcards {
				return fmt.Errorf("%s has a wildcard: what is sent has one subject", quote(subject))
			}
			if t == ">" && i < len(tokens)-1 {
				return fmt.Errorf("%s is not a subject: > is its last token or none", quote(subject))
			}
		case strings.ContainsAny(t, "*>"):
			return fmt.Errorf("%s is not a subject: a wildcard is a token by itself", quote(subject))
		}
	}
	return nil
}

// checkName says what is wrong with the name of a stream or a durable.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("a %s is required", what)
	case len(name) > 255:
		return fmt.Errorf("%s is longer than 255 bytes", quote(name))
	}
	if i := strings.IndexFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`.*>/\`, r)
	}); i >= 0 {
		return fmt.Errorf("%s is not the name of a %s: it has no spaces, dots, *, >, / or \\", quote(name), what)
	}
	return nil
}

// covers says whether every subject of pattern inner is one of pattern outer.
func covers(outer, inner string) bool {
	out, in := strings.Split(outer, "."), strings.Split(inner, ".")
	for i, o := range out {
		switch {
		case i >= len(in):
			return false
		case o == ">":
			return true
		case in[i] == ">", o != "*" && o != in[i]:
			return false
		}
	}
	return len(out) == len(in)
}

// overlap says whether some subject is one of both patterns.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		switch {
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != bs[i] && as[i] != "*" && bs[i] != "*":
			return false
		}
	}
	return len(as) == len(bs)
}

// coveredBy is the first pattern that covers a subject.
func coveredBy(patterns []string, subject string) (string, bool) {
	for _, p := range patterns {
		if covers(p, subject) {
			return p, true
		}
	}
	return "", false
}

// overlapping is the first pair of patterns, one of each list, that overlap.
func overlapping(as, bs []string) (a, b string, found bool) {
	for _, a := range as {
		for _, b := range bs {
			if overlap(a, b) {
				return a, b, true
			}
		}
	}
	return "", "", false
}

// union sorts patterns and leaves out those that another one covers.
func union(patterns []string) []string {
	sorted := slices.Compact(slices.Sorted(slices.Values(patterns)))
	var out []string
	for i, p := range sorted {
		if !slices.ContainsFunc(slices.Concat(sorted[:i], sorted[i+1:]), func(other string) bool { return covers(other, p) }) {
			out = append(out, p)
		}
	}
	return out
}
