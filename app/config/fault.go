package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a configuration, and where.
type Fault struct {
	// File is the file's name, or, for a value that came from the environment,
	// a dollar sign and the variable's name. It is empty for a Config that was
	// made by a program.
	File string
	// Line and Column count from 1, the column in characters. They are 0 where
	// there is no place in a file.
	Line, Column int
	// Path is the keys that lead there: tasks.score.routes.scored.
	Path string
	// Message says what is there and what should be.
	Message string
	// Excerpt is the line of the file and a caret below it, without secrets.
	Excerpt string
}

// Error is place, path and message in one line, without the excerpt.
func (f Fault) Error() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
	}
	if f.Line > 0 {
		b.WriteString(strconv.Itoa(f.Line) + ":" + strconv.Itoa(f.Column) + ":")
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Error is everything that is wrong with a configuration, in the order of the
// file. It is the only kind of error that this package returns; find it with
// errors.As.
type Error struct {
	Faults []Fault
	cause  error // of a file that cannot be read
}

// Error is one line for each fault, each followed by its excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(f.Error())
		if f.Excerpt != "" {
			b.WriteString("\n" + f.Excerpt)
		}
	}
	return b.String()
}

// Unwrap makes it possible to ask for fs.ErrNotExist and its like.
func (e *Error) Unwrap() error { return e.cause }

// sortFaults puts faults in the order of the file. Those of one place stay as
// they were found.
func sortFaults(faults []Fault) {
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// path is a place in a document: keys, and [i] for the items of lists. It is
// never appended to in place.
type path []string

func (p path) key(k string) path { return append(slices.Clip(p), k) }

func (p path) item(i int) path { return p.key("[" + strconv.Itoa(i) + "]") }

// String joins the path with dots. A key that would read as two is quoted.
func (p path) String() string {
	var b strings.Builder
	for i, k := range p {
		item := strings.HasPrefix(k, "[") && strings.HasSuffix(k, "]")
		if i > 0 && !item {
			b.WriteByte('.')
		}
		if !item && (k == "" || strings.ContainsFunc(k, unusual)) {
			k = quote(k)
		}
		b.WriteString(k)
	}
	return b.String()
}

func unusual(r rune) bool {
	return !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
}

// under says whether p is the same as q or below it.
func (p path) under(q path) bool { return len(p) >= len(q) && slices.Equal(p[:len(q)], q) }

// quote quotes a text of the file, which may be of any length.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return strconv.Quote(s)
}
