package http

import (
	"fmt"
	"strings"
)

// part is one piece of a template: text as it stands, or a field of the
// transaction.
type part struct {
	text  string
	field *field // nil for text
	place place  // of a field in a URL
}

// parseTemplate takes a template apart: {field} is replaced, {{ and }} stand for one
// brace. Neighbouring pieces of text become one.
func parseTemplate(template string) ([]part, error) {
	var parts []part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{text: text.String()})
			text.Reset()
		}
	}
	for rest := template; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			text.WriteString(rest)
			break
		}
		text.WriteString(rest[:i])
		brace := rest[i]
		rest = rest[i+1:]
		if rest != "" && rest[0] == brace {
			text.WriteByte(brace)
			rest = rest[1:]
			continue
		}
		if brace == '}' {
			return nil, fmt.Errorf("a } without its {: write }} for a brace")
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || strings.Contains(name, "{") {
			return nil, fmt.Errorf("{%.40s is not closed: write {{ for a brace", rest)
		}
		f, err := parseField(name)
		if err != nil {
			return nil, err
		}
		flush()
		parts = append(parts, part{field: f})
		rest = after
	}
	flush()
	return parts, nil
}

// static is the text of a template without fields.
func static(parts []part) (string, bool) {
	switch {
	case len(parts) == 0:
		return "", true
	case len(parts) == 1 && parts[0].field == nil:
		return parts[0].text, true
	}
	return "", false
}
