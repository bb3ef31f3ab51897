package config

import (
	"fmt"
	"regexp"
	"strings"
)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces the references in a value. What a variable holds is not looked
// at again. changed says whether there was one. The messages never show a
// variable's value.
func expand(text string, env func(string) (string, bool)) (out string, changed bool, faults []string) {
	if !strings.Contains(text, "${") {
		return text, false, nil
	}
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), changed, faults
		}
		if i > 0 && text[i-1] == '$' { // $${ is the text ${
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		text = text[i+2:]
		inner, rest, closed := strings.Cut(text, "}")
		if !closed {
			return "", true, append(faults, `a "${" without its "}": close it, or write $${ for the text ${`)
		}
		text, changed = rest, true
		name, fallback, hasDefault := strings.Cut(inner, ":-")
		switch {
		case strings.Contains(inner, "${"):
			faults = append(faults, "a variable inside of a variable: the default of ${NAME:-default} is plain text")
			continue
		case !variableName.MatchString(name):
			faults = append(faults, "what stands between ${ and } is not a variable: write ${NAME} or ${NAME:-default}, or $${ for the text ${")
			continue
		}
		value, ok := env(name)
		switch {
		case hasDefault && value == "":
			value = fallback
		case !ok && !hasDefault:
			faults = append(faults, fmt.Sprintf("variable %s is not set: set it, or write ${%s:-default}", name, name))
		}
		b.WriteString(value)
	}
}
