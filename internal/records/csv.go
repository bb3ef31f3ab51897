package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// csvReader reads rows. It reads what encoding/csv reads (the fuzz test compares
// the two); its own is how it goes on after a broken quote. There encoding/csv
// drops every line it took for the inside of a field, up to the end of the
// file. This one goes on with the line after the one on which the broken row
// begins, so that a stray quote costs one row.
//
// No line is read more than twice for that. An inner line of a field that did
// not end has an even number of quotes, so read on its own it ends on its own;
// only the last one can open a field again.
type csvReader struct {
	lines *lineReader
	row   row
	inner []byte // lines after a row's first, with their terminators
}

// rowFault is a row that can't be read.
type rowFault struct {
	line   int
	reason string
}

func (f *rowFault) Error() string { return fmt.Sprintf("line %d: %s", f.line, f.reason) }

// next reads the next row into c.row and returns the lines on which it begins
// and ends. The error is a *rowFault, io.EOF or the input's.
func (c *csvReader) next() (begin, end int, err error) {
	var ln line
	for {
		if ln, err = c.lines.next(); err != nil {
			return 0, 0, err
		}
		if ln.long || len(ln.text()) > 0 {
			break
		}
	}
	begin, end = ln.number, ln.number
	if ln.long {
		return begin, end, &rowFault{begin, tooLarge(c.lines.max)}
	}
	c.row.reset()
	c.inner = c.inner[:0]
	size := len(ln.text())
	done, reason := c.row.feed(ln.text())
	long := false
	for !done && reason == "" {
		ln, err = c.lines.next()
		if errors.Is(err, io.EOF) {
			reason = fmt.Sprintf("field %d: the quote is not closed", c.row.fields()+1)
			break
		}
		if err != nil {
			return begin, end, err
		}
		end = ln.number
		c.inner = append(c.inner, ln.raw...)
		if size += 1 + len(ln.text()); ln.long || size > c.lines.max {
			long = ln.long
			reason = fmt.Sprintf("field %d: the quote is not closed within %d bytes", c.row.fields()+1, c.lines.max)
			break
		}
		done, reason = c.row.feed(ln.text())
	}
	if reason != "" {
		c.lines.unread(bytes.Clone(c.inner), end-begin, long)
		return begin, end, &rowFault{begin, reason}
	}
	if reason = c.row.notText(); reason != "" {
		return begin, end, &rowFault{begin, reason}
	}
	return begin, end, nil
}

// header reads the first row, the columns' names.
func (c *csvReader) header() ([]string, error) {
	begin, _, err := c.next()
	if errors.Is(err, io.EOF) {
		return nil, &rowFault{1, "no header row"}
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, c.row.fields())
	for i := range names {
		name := string(c.row.field(i))
		switch {
		case strings.TrimSpace(name) == "":
			return nil, &rowFault{begin, fmt.Sprintf("column %d has no name", i+1)}
		case strings.ContainsFunc(name, unicode.IsControl):
			return nil, &rowFault{begin, fmt.Sprintf("column %d: control character in the name %q", i+1, clip(name))}
		case slices.Contains(names[:i], name):
			first := slices.Index(names, name) + 1
			return nil, &rowFault{begin, fmt.Sprintf("column %d has the name %q of column %d", i+1, clip(name), first)}
		}
		names[i] = name
	}
	return names, nil
}

// row is a row that is being read: the fields' text in one piece.
type row struct {
	text   []byte
	ends   []int
	quoted bool // inside a quoted field
}

func (r *row) reset() { r.text, r.ends, r.quoted = r.text[:0], r.ends[:0], false }

func (r *row) fields() int { return len(r.ends) }

func (r *row) field(i int) []byte {
	if i == 0 {
		return r.text[:r.ends[0]]
	}
	return r.text[r.ends[i-1]:r.ends[i]]
}

func (r *row) endField() { r.ends = append(r.ends, len(r.text)) }

// feed reads one line and reports whether the row ends with it. A row that goes
// on is inside a quoted field. A reason means that the line is no part of a row.
func (r *row) feed(line []byte) (done bool, reason string) {
	if r.quoted {
		r.text = append(r.text, '\n')
	}
	for {
		if !r.quoted {
			if len(line) == 0 || line[0] != '"' {
				field, rest, more := bytes.Cut(line, []byte{','})
				if bytes.IndexByte(field, '"') >= 0 {
					return false, fmt.Sprintf("field %d: quote in an unquoted field", r.fields()+1)
				}
				r.text = append(r.text, field...)
				r.endField()
				if !more {
					return true, ""
				}
				line = rest
				continue
			}
			r.quoted = true
			line = line[1:]
		}
		i := bytes.IndexByte(line, '"')
		if i < 0 {
			r.text = append(r.text, line...)
			return false, ""
		}
		r.text = append(r.text, line[:i]...)
		line = line[i+1:]
		switch {
		case len(line) == 0:
			r.quoted = false
			r.endField()
			return true, ""
		case line[0] == '"':
			r.text = append(r.text, '"')
		case line[0] == ',':
			r.quoted = false
			r.endField()
		default:
			return false, fmt.Sprintf("field %d: text after the closing quote", r.fields()+1)
		}
		line = line[1:]
	}
}

// notText says why the row's fields are not text, or "". Each is looked at alone:
// two halves of a character can stand in two fields.
func (r *row) notText() string {
	for i := range r.ends {
		if reason := notText(r.field(i)); reason != "" {
			return fmt.Sprintf("field %d: %s", i+1, reason)
		}
	}
	return ""
}

// object renders the row as a JSON object. keys are the columns' names, quoted
// and with their colon.
func (r *row) object(keys [][]byte) []byte {
	size := len(r.text) + 2
	for _, key := range keys {
		size += len(key) + 3
	}
	to := append(make([]byte, 0, size), '{')
	for i, key := range keys {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, key...)
		to = appendQuoted(to, r.field(i))
	}
	return append(to, '}')
}
