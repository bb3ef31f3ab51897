package config

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is what a value of a document is.
type kind int

const (
	nullKind kind = iota // left out
	badKind              // reported already, and to be passed over
	textKind
	boolKind
	intKind
	floatKind
	listKind
	groupKind
)

// String names the kind in an error.
func (k kind) String() string {
	switch k {
	case nullKind:
		return "nothing"
	case boolKind:
		return "true or false"
	case intKind, floatKind:
		return "a number"
	case listKind:
		return "a list"
	case groupKind:
		return "a group of keys"
	default:
		return "text"
	}
}

// place is where something stands; env is the variable it came from instead, flag the
// flag, and from the file that held it, which what stands there only names.
type place struct {
	line, column    int
	env, flag, from string
}

// String is line and column.
func (p place) String() string { return strconv.Itoa(p.line) + ":" + strconv.Itoa(p.column) }

func (p place) before(q place) bool {
	return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column)) < 0
}

// node is a value of a document. The nodes of an alias are shared, never cyclic.
type node struct {
	kind    kind
	text    string // of a scalar, as it stands there
	filled  bool   // it is what a variable held, at least in part
	items   []*node
	entries []entry
	at      place
	key     place // of the whole document, which has no key
	size    int   // of all that is below, n included, each as often as it appears
}

// entry is a key with its value.
type entry struct {
	name  string
	at    place
	value *node
}

var (
	integerText = regexp.MustCompile(`^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)$`)
	floatText   = regexp.MustCompile(`^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$`)
)

// scalar reads text that stands outside quotes, as YAML 1.2 does. A number with
// zeros in front is text: YAML 1.1 takes 010 for eight.
func scalar(text string, at place) *node {
	n := &node{kind: textKind, text: text, at: at}
	switch strings.ToLower(text) {
	case "", "~", "null":
		n.kind = nullKind
	case "true", "false":
		n.kind = boolKind
	default:
		digits := strings.TrimLeft(text, "-+")
		switch {
		case integerText.MatchString(text):
			n.kind = intKind
		case len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789") == "":
		case floatText.MatchString(text):
			n.kind = floatKind
		}
	}
	return n
}

// get is the value of a key, or nil.
func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.name == key {
			return e.value
		}
	}
	return nil
}

// says reports whether there is a value at a path.
func (n *node) says(p path) bool {
	if n = n.find(p); n == nil {
		return false
	}
	return n.kind != nullKind || n.filled && n.text != ""
}

// put is n with a value at a path. Groups on the way are made where there are none,
// and copied where there are, since an alias may share them. What else stands in the
// way stays: it is a fault of its own.
func (n *node) put(p path, value *node) *node {
	out := *n
	if n.kind == listKind {
		out.items = slices.Clone(n.items)
		if i := n.indexOf(p[0]); i >= 0 && len(p) > 1 {
			out.items[i] = out.items[i].put(p[1:], value)
		}
		return &out
	}
	out.entries = slices.Clone(n.entries)
	for i, e := range out.entries {
		if e.name != p[0] {
			continue
		}
		switch {
		case len(p) == 1:
			out.entries[i].value = value
		case e.value.kind == nullKind:
			out.entries[i].value = (&node{kind: groupKind, at: e.at}).put(p[1:], value)
		case e.value.kind == groupKind, e.value.kind == listKind && len(p) > 2:
			out.entries[i].value = e.value.put(p[1:], value)
		}
		return &out
	}
	if len(p) > 1 {
		value = (&node{kind: groupKind, at: value.at}).put(p[1:], value)
	}
	out.entries = append(out.entries, entry{name: p[0], at: value.at, value: value})
	return &out
}

// find is the node at a path, or nil.
func (n *node) find(p path) *node {
	for i, key := range p {
		if n.kind == listKind {
			return n.itemAt(p[i:])
		}
		if n = n.get(key); n == nil {
			return nil
		}
	}
	return n
}

func (n *node) itemAt(p path) *node {
	if i := n.indexOf(p[0]); i >= 0 {
		return n.items[i].find(p[1:])
	}
	return nil
}

// indexOf is which item of a list a key of a path means, -1 for none.
func (n *node) indexOf(key string) int {
	for i := range n.items {
		if (path{}).item(i)[0] == key {
			return i
		}
	}
	return -1
}

// remove takes the value at a path out, and leaves everything else as it is: the
// groups on the way are copied, since an alias may share them.
func (n *node) remove(p path) *node {
	out := *n
	if n.kind == listKind {
		out.items = slices.Clone(n.items)
		if i := n.indexOf(p[0]); i >= 0 && len(p) > 1 {
			out.items[i] = out.items[i].remove(p[1:])
		}
		return &out
	}
	out.entries = nil
	for _, e := range n.entries {
		if e.name == p[0] {
			if len(p) == 1 {
				continue
			}
			e.value = e.value.remove(p[1:])
		}
		out.entries = append(out.entries, e)
	}
	return &out
}

// measured counts what is below n. The counts of the nodes below are there
// already: following aliases to count them could take for ever.
func (n *node) measured() *node {
	n.size = 1
	for _, item := range n.items {
		n.size += item.size
	}
	for _, e := range n.entries {
		n.size += e.value.size
	}
	return n
}

// locate is the place of a value, or of the nearest thing above it that is in the
// file. A group and a list are where their key is.
func (l *loader) locate(p path) place { return l.root.locate(p, l.root.key) }

func (n *node) locate(p path, own place) place {
	if len(p) == 0 {
		if n.kind == groupKind || n.kind == listKind || n.kind == nullKind || n.at == (place{}) {
			return own
		}
		return n.at
	}
	for _, e := range n.entries {
		if e.name == p[0] {
			return e.value.locate(p[1:], e.at)
		}
	}
	for i, item := range n.items {
		if (path{}).item(i)[0] == p[0] {
			return item.locate(p[1:], item.at)
		}
	}
	return own
}

// textAt is the text of a scalar, "" where there is none.
func (l *loader) textAt(p path) string {
	n := l.root
	for _, key := range p {
		next := n.get(key)
		for i, item := range n.items {
			if (path{}).item(i)[0] == key {
				next = item
			}
		}
		if n = next; n == nil {
			return ""
		}
	}
	return n.text
}

func splitPath(s string) path { return strings.Split(s, ".") }
