package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
)

// maxSize is how long a file may be. A configuration of this length is a mistake
// in the name of the file.
const maxSize = 4 << 20

// Load reads a file. env looks up environment variables, as os.LookupEnv does; nil
// is an empty environment. The error is an *Error; for a file that isn't there it
// is fs.ErrNotExist as well.
func Load(name string, env func(string) (string, bool)) (*Config, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, data, env)
}

// Parse reads the text of a file, which is called name in errors. See Load.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	r, err := Resolve(name, data, Inputs{Env: Environment{Lookup: env}})
	if err != nil {
		return nil, err
	}
	return r.Config, nil
}

// load reads a text and all that wins over it.
func (l *loader) load(data []byte) (*Config, error) {
	l.collect()
	root, ok := l.tree(data)
	if !ok {
		return nil, l.err()
	}
	cfg := Default()
	l.root, l.cfg = root, &cfg
	l.decode(root, nil, reflect.ValueOf(&cfg).Elem())
	l.unknownVariables(data == nil)
	if cfg.Bus.Context != "" && !root.says(path{"bus", "url"}) {
		cfg.Bus.URL = "" // the context's, and not embedded
	}
	cfg.complete()

	// Rules that hold several parts against each other would only repeat a fault
	// of one of them: a subject that couldn't be read isn't stored by any stream.
	broken := len(l.faults) > 0
	var v validator
	v.local(&cfg)
	if len(v.found) == 0 && !broken {
		v.across(&cfg)
	}
	found := slices.DeleteFunc(v.found, l.explained) // before they explain one another
	for _, f := range found {
		l.fail(l.within(l.locate(f.path), f.inside, l.textAt(f.path)), f.path, "%s", f.message)
	}
	if len(l.faults) > 0 {
		return nil, l.err()
	}
	return &cfg, nil
}

// loader is one reading of one file.
type loader struct {
	file      string
	in        Inputs
	env       func(string) (string, bool)
	keys      []variableKey
	names     map[string][]string // of the tasks and the services that the file has
	overrides map[string]override // by the path of the key
	raw       string
	text      lines // of raw, once they are needed
	root      *node
	cfg       *Config // what is read into
	faults    []Fault
	paths     []path // of the faults
	unknown   []path // of the groups that hold an unknown key
}

// fail adds a fault at a place.
func (l *loader) fail(at place, p path, format string, args ...any) {
	f := Fault{File: l.file, Line: at.line, Column: at.column, Path: p.String(), Message: safe(fmt.Sprintf(format, args...))}
	switch {
	case at.env != "":
		f.File, f.Line, f.Column = "$"+at.env, 0, 0
	case at.flag != "":
		f.File, f.Line, f.Column = "", 0, 0
		f.Message += " (" + at.flag + ")"
	}
	l.faults = append(l.faults, f)
	l.paths = append(l.paths, p)
}

// shown is the file as it may be shown.
func (l *loader) shown() lines {
	if l.text == nil {
		l.text = newLines(l.raw)
	}
	return l.text
}

func (l *loader) err() error {
	sortFaults(l.faults)
	for i, f := range l.faults { // now that all is known that is to be hidden
		l.faults[i].Excerpt = l.shown().excerpt(f.Line, f.Column)
	}
	return &Error{Faults: l.faults}
}

// explained says whether a fault only follows from one that is reported already:
// of the same value, or of what it is a part of; and, if it is of that sort, of a
// part of it, or of an unknown key in it or beside it.
func (l *loader) explained(f finding) bool {
	for _, p := range l.paths {
		if len(p) > 0 && (f.path.under(p) || f.follows && p.under(f.path)) {
			return true
		}
	}
	return f.follows && slices.ContainsFunc(l.unknown, func(group path) bool {
		return f.path.under(group) && len(f.path) <= len(group)+1
	})
}

// read reads a file, or says what is wrong with it and what to do.
func read(name string) ([]byte, error) {
	refuse := func(cause error, format string, args ...any) error {
		return &Error{Faults: []Fault{{File: name, Message: fmt.Sprintf(format, args...)}}, cause: cause}
	}
	file, err := os.Open(name)
	if err != nil {
		cause := err
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			cause = wrapped.Err // the name is said already
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, refuse(err, "there is no such file: check the name, or the directory you are in")
		case errors.Is(err, fs.ErrPermission):
			return nil, refuse(err, "the file may not be read by this user: change its permissions")
		}
		return nil, refuse(err, "open the file: %v", cause)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, refuse(nil, "is a directory: name the file in it, such as ergon.yaml")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, refuse(err, "read the file: %v", err)
	}
	return data, nil
}
