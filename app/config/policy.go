package config

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/ergon-framework/ergon/policy"
)

// overlay reads a task's policy, of either kind. Package policy reads it, from
// JSON, so that its keys, types and words for them are known in one place; here the
// faults get their place in the file. What is at fault is taken out and the rest
// read again, so that it can be validated too.
func overlay[P interface{ Overlay([]byte) (P, error) }](l *loader, n *node, p path, into *P, keys func(string) []string) {
	if n.kind != groupKind {
		l.wrong(n, p, "a group of keys ("+strings.Join(keys(""), ", ")+")")
		return
	}
	c, err := (*into).Overlay(n.json())
	if err == nil {
		*into = c
		return
	}
	faults, ok := errors.AsType[policy.Faults](err)
	if !ok {
		l.fail(l.placeOf(n, p), p, "%v", err)
		return
	}
	rest := n
	for _, f := range faults {
		below := n.split(f.Path)
		at := l.locate(slices.Concat(p, below))
		if parent := len(below) - 1; parent >= 0 && !slices.Contains(keys(strings.Join(below[:parent], ".")), below[parent]) {
			at = n.keyOf(below, at) // an unknown key is at fault itself, not what stands behind it
		}
		l.fail(at, slices.Concat(p, below), "%s", f.Message)
		if len(below) > 0 {
			rest = rest.remove(below)
		}
	}
	if c, err := (*into).Overlay(rest.json()); err == nil {
		*into = c
	}
}

// split takes a path apart that policy put together with dots. The keys of
// free-form data may have dots of their own, so the nodes say where they are.
func (n *node) split(dotted string) path {
	if dotted == "" {
		return nil
	}
	for _, e := range n.entries {
		if rest, ok := strings.CutPrefix(dotted, e.name); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return append(path{e.name}, e.value.split(strings.TrimPrefix(rest, "."))...)
		}
	}
	head, rest, _ := strings.Cut(dotted, ".")
	return append(path{head}, (&node{}).split(rest)...)
}

// keyOf is the place of the last key of a path.
func (n *node) keyOf(p path, otherwise place) place {
	for _, e := range n.entries {
		if e.name == p[0] {
			if len(p) == 1 {
				return e.at
			}
			return e.value.keyOf(p[1:], otherwise)
		}
	}
	return otherwise
}

// json writes the node as JSON, which every node is: the keys are text and stand
// once.
func (n *node) json() []byte { return n.appendJSON(nil) }

func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case nullKind, badKind:
		return append(b, "null"...)
	case boolKind:
		return append(b, strings.ToLower(n.text)...)
	case intKind, floatKind:
		return append(b, jsonNumber(n.text)...)
	case listKind:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case groupKind:
		b = append(b, '{')
		for i, e := range n.entries {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, e.name), ':')
			b = e.value.appendJSON(b)
		}
		return append(b, '}')
	default:
		return appendText(b, n.text)
	}
}

// appendText writes text without the escapes that are for HTML: it comes back in
// messages.
func appendText(b []byte, text string) []byte {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return append(b, strconv.Quote(text)...)
	}
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}

// jsonNumber is a YAML number as JSON has it: without a plus, underscores, another
// base, or a bare dot.
func jsonNumber(text string) string {
	if json.Valid([]byte(text)) {
		return text
	}
	plain := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(i, 10)
	}
	if trimmed := strings.TrimPrefix(plain, "+"); json.Valid([]byte(trimmed)) {
		return trimmed
	}
	if f, err := strconv.ParseFloat(plain, 64); err == nil {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	quoted, _ := json.Marshal(text) //nolint:errchkjson // text always can
	return string(quoted)
}
