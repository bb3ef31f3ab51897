package records

import (
	"fmt"
	"path/filepath"
	"strings"
)

// MaxRecordBytes is the size of the largest record, as it stands in the file. A
// larger one is malformed; it is skipped without being held.
const MaxRecordBytes = 8 << 20

// Format says what a record of a file is.
type Format string

// The formats.
const (
	// CSV is comma-separated values as in RFC 4180, with a header row. Each
	// further row becomes a JSON object of strings, in the header's order.
	CSV Format = "csv"
	// JSONL is one JSON value per line, kept byte for byte.
	JSONL Format = "jsonl"
	// Raw is one record: the whole input, byte for byte.
	Raw Format = "raw"
)

// FormatOf is the format that a file's name stands for: csv for .csv, jsonl for
// .jsonl, .ndjson and the standard input ("-" or ""), raw for .json, .raw and .bin. For
// any other it is "": what is a line to one is a record to nobody, and a guess would
// publish the whole file as one. Upper and lower case are the same.
func FormatOf(fileName string) Format {
	if isStdin(fileName) {
		return JSONL
	}
	switch strings.ToLower(filepath.Ext(fileName)) {
	case ".csv":
		return CSV
	case ".jsonl", ".ndjson":
		return JSONL
	case ".json", ".raw", ".bin":
		return Raw
	}
	return ""
}

// ParseFormat reads a format's name as a user writes it. The error of another
// name lists those that there are.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case CSV, JSONL, Raw:
		return f, nil
	}
	return "", fmt.Errorf("format %q is not known: use csv, jsonl or raw", name)
}

// Record is one record of a file. It is the caller's: the reader keeps nothing
// of it.
type Record struct {
	// Number counts the records of the file from 1. Malformed ones count too,
	// so that repairing one does not give all that follow another ID.
	Number int
	// Line is the line on which it begins, from 1.
	Line int
	// ID names it. It is a function of the file's name and content.
	ID string
	// Data is what to publish.
	Data []byte
	// ContentType is the media type of Data.
	ContentType string
}

// MalformedError is a record that can't be published. It is about this record
// only: those after it can still be read.
type MalformedError struct {
	// File is the input's name as it was given, "stdin" for the standard input.
	File string
	// Line is the line on which the record begins, from 1.
	Line int
	// Reason says what is wrong with it.
	Reason string
}

// Error is in the form "orders.csv:17: 7 fields, expected 8".
func (e *MalformedError) Error() string {
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

func isStdin(name string) bool { return name == "" || name == "-" }

// displayName is how errors name a file.
func displayName(name string) string {
	if isStdin(name) {
		return "stdin"
	}
	return name
}
