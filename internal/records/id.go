package records

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DefaultID is the ID template of a reader that is given none: the file's base
// name, the record's number and a short hash of its data.
const DefaultID = "{file}-{n}-{hash}"

const placeholders = "{file}, {n}, {line}, {hash} and {field:NAME}"

// template makes a record's ID. It has no state.
type template []part

type part struct {
	kind partKind
	text string // the literal, or the field's name
}

type partKind int

const (
	literal partKind = iota
	fileName
	recordNumber
	lineNumber
	dataHash
	jsonField
)

// parseTemplate reads a template. {{ and }} stand for one brace.
func parseTemplate(s string) (template, error) {
	var t template
	var text strings.Builder
	for len(s) > 0 {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			text.WriteString(s)
			break
		}
		text.WriteString(s[:i])
		brace := s[i]
		s = s[i+1:]
		if len(s) > 0 && s[0] == brace {
			text.WriteByte(brace)
			s = s[1:]
			continue
		}
		if brace == '}' {
			return nil, errors.New("} closes nothing: write }} for a brace")
		}
		name, rest, closed := strings.Cut(s, "}")
		if !closed {
			return nil, fmt.Errorf("{%s is not closed: write {{ for a brace", clip(name))
		}
		p, err := parsePlaceholder(name)
		if err != nil {
			return nil, err
		}
		if text.Len() > 0 {
			t = append(t, part{literal, text.String()})
			text.Reset()
		}
		t = append(t, p)
		s = rest
	}
	if text.Len() > 0 {
		t = append(t, part{literal, text.String()})
	}
	return t, nil
}

func parsePlaceholder(name string) (part, error) {
	switch name {
	case "file":
		return part{kind: fileName}, nil
	case "n":
		return part{kind: recordNumber}, nil
	case "line":
		return part{kind: lineNumber}, nil
	case "hash":
		return part{kind: dataHash}, nil
	}
	if field, ok := strings.CutPrefix(name, "field:"); ok {
		if field == "" {
			return part{}, errors.New("{field:} names no field")
		}
		return part{jsonField, field}, nil
	}
	return part{}, fmt.Errorf("{%s} is not known: there are %s", clip(name), placeholders)
}

// varies reports whether two records of one file can have different IDs.
func (t template) varies() bool {
	for _, p := range t {
		if p.kind != literal && p.kind != fileName {
			return true
		}
	}
	return false
}

// render returns the ID of r, or says why r can have none. field returns the
// value of a field of r.
func (t template) render(file string, r *Record, field func(name string) (string, error)) (string, error) {
	var b []byte
	for _, p := range t {
		switch p.kind {
		case literal:
			b = append(b, p.text...)
		case fileName:
			b = append(b, file...)
		case recordNumber:
			b = strconv.AppendInt(b, int64(r.Number), 10)
		case lineNumber:
			b = strconv.AppendInt(b, int64(r.Line), 10)
		case dataHash:
			// 64 bits: {hash} alone may be the ID, and with 32 a hundred thousand
			// different records would hold two that are taken for one.
			sum := sha256.Sum256(r.Data)
			b = hex.AppendEncode(b, sum[:8])
		case jsonField:
			value, err := field(p.text)
			if err != nil {
				return "", err
			}
			b = append(b, value...)
		}
	}
	id := string(b)
	return id, checkID(id)
}

// checkID refuses what does not survive as the value of a header. A space at an
// end is cut off there, which would make two IDs one.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the ID is empty")
	case !utf8.ValidString(id):
		return fmt.Errorf("the ID %q is not valid UTF-8", clip(id))
	case strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("the ID %q has a control character", clip(id))
	case strings.TrimSpace(id) != id:
		return fmt.Errorf("the ID %q begins or ends with a space", clip(id))
	}
	return nil
}
