package records

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Reader reads the records of one input. It is not safe for concurrent use.
type Reader struct {
	name   string // as it was given, for errors
	base   string // for IDs
	id     template
	lines  *lineReader
	number int
	err    error // what ended the input

	// read returns the next record without number and ID, and how to get a
	// field of it.
	read func() (Record, fieldFunc, error)

	csv     *csvReader
	columns []string
	keys    [][]byte
}

type fieldFunc = func(name string) (string, error)

// NewReader reads the records of r, which is called name. idTemplate is text
// with {file}, {n}, {line}, {hash} and {field:NAME} in it, and {{ and }} for a
// brace; "" is [DefaultID]. {field:NAME} is a top-level field of the record's
// JSON that is a string, a number or a boolean.
//
// For csv it reads the header row. It returns an error for what concerns all
// records: a header without names, a name that is empty or there twice, a
// template with an unknown placeholder, with a column that the header does not
// have, or one that gives all records of a csv or jsonl file the same ID. What
// opened r closes it.
func NewReader(r io.Reader, name string, format Format, idTemplate string) (*Reader, error) {
	return newReader(r, name, format, idTemplate, MaxRecordBytes)
}

func newReader(in io.Reader, name string, format Format, idTemplate string, max int) (*Reader, error) {
	if idTemplate == "" {
		idTemplate = DefaultID
	}
	id, err := parseTemplate(idTemplate)
	if err != nil {
		return nil, fmt.Errorf("ID template %q: %w", idTemplate, err)
	}
	r := &Reader{name: displayName(name), id: id, lines: newLineReader(in, max)}
	r.base = filepath.Base(r.name)
	if format != Raw && !id.varies() {
		return nil, fmt.Errorf("ID template %q gives every record the same ID: add {n}, {line}, {hash} or {field:NAME}", idTemplate)
	}
	switch format {
	case CSV:
		r.csv = &csvReader{lines: r.lines}
		r.read = r.readCSV
		if err := r.readHeader(); err != nil {
			return nil, err
		}
	case JSONL:
		r.read = r.readJSONL
	case Raw:
		r.read = r.readRaw
	default:
		_, err := ParseFormat(string(format))
		return nil, err
	}
	return r, nil
}

// Next returns the next record. A record that can't be published is a
// [*MalformedError], after which Next goes on; io.EOF is the end. Any other
// error names the file and is the input's own; it ends the input, and Next
// returns it from then on.
func (r *Reader) Next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	record, field, err := r.read()
	if errors.Is(err, io.EOF) {
		r.err = io.EOF
		return Record{}, io.EOF
	}
	fault, malformed := errors.AsType[*rowFault](err)
	if err != nil && !malformed {
		r.err = fmt.Errorf("read %q: %w", r.name, err)
		return Record{}, r.err
	}
	r.number++
	if malformed {
		return Record{}, r.malformed(fault.line, fault.reason)
	}
	record.Number = r.number
	if record.ID, err = r.id.render(r.base, &record, field); err != nil {
		return Record{}, r.malformed(record.Line, err.Error())
	}
	return record, nil
}

func (r *Reader) malformed(line int, reason string) error {
	return &MalformedError{File: r.name, Line: line, Reason: reason}
}

func (r *Reader) readHeader() error {
	columns, err := r.csv.header()
	if fault, ok := errors.AsType[*rowFault](err); ok {
		return fmt.Errorf("read the header of %q: %w", r.name, fault)
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", r.name, err)
	}
	for _, p := range r.id {
		if p.kind == jsonField && !slices.Contains(columns, p.text) {
			return fmt.Errorf("ID template: %q has no column %q; it has %s", r.name, p.text, clip(strings.Join(columns, ", ")))
		}
	}
	r.columns = columns
	for _, name := range columns {
		r.keys = append(r.keys, append(appendQuoted(nil, name), ':'))
	}
	return nil
}

func (r *Reader) readCSV() (Record, fieldFunc, error) {
	begin, end, err := r.csv.next()
	if err != nil {
		return Record{}, nil, err
	}
	row := &r.csv.row
	if row.fields() != len(r.columns) {
		reason := fmt.Sprintf("%d fields, expected %d", row.fields(), len(r.columns))
		if end > begin {
			// Perhaps a stray quote took good lines in: say which.
			reason += fmt.Sprintf(" (the record ends on line %d)", end)
		}
		return Record{}, nil, &rowFault{begin, reason}
	}
	data := row.object(r.keys)
	return Record{Line: begin, Data: data, ContentType: "application/json"}, func(name string) (string, error) {
		return string(row.field(slices.Index(r.columns, name))), nil
	}, nil
}

func (r *Reader) readJSONL() (Record, fieldFunc, error) {
	for {
		ln, err := r.lines.next()
		if err != nil {
			return Record{}, nil, err
		}
		if ln.long {
			return Record{}, nil, &rowFault{ln.number, tooLarge(r.lines.max)}
		}
		text := ln.text()
		value := bytes.Trim(text, jsonSpace)
		if len(value) == 0 {
			continue
		}
		if reason := notText(text); reason != "" {
			return Record{}, nil, &rowFault{ln.number, reason}
		}
		if !json.Valid(value) {
			indent := len(text) - len(bytes.TrimLeft(text, jsonSpace))
			return Record{}, nil, &rowFault{ln.number, jsonFault(value, indent)}
		}
		data := bytes.Clone(value)
		return Record{Line: ln.number, Data: data, ContentType: "application/json"}, jsonFields(data), nil
	}
}

// readRaw reads one byte more than the limit, so that it holds no more of an
// input that is too large.
func (r *Reader) readRaw() (Record, fieldFunc, error) {
	if r.number > 0 {
		return Record{}, nil, io.EOF
	}
	data, err := io.ReadAll(io.LimitReader(r.lines.in, int64(r.lines.max)+1))
	if err != nil {
		return Record{}, nil, err
	}
	if len(data) > r.lines.max {
		return Record{}, nil, &rowFault{1, tooLarge(r.lines.max)}
	}
	contentType := "application/octet-stream"
	if strings.EqualFold(filepath.Ext(r.name), ".json") {
		contentType = "application/json"
	}
	return Record{Line: 1, Data: data, ContentType: contentType}, jsonFields(data), nil
}
