package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// The rules are numbered from 1.
const lastRule = 131

// mutant is one way to break the code.
type mutant struct {
	name    string // of its file
	does    string
	rules   []int // that it breaks
	changes []change
}

// change replaces lines of one file.
type change struct {
	file     string // its slash-separated path in the module
	old, new string
}

// load reads every mutant of a directory, in the order of their names.
func load(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no mutant in %s", dir)
	}
	var all []mutant
	var faults []error
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(filepath.Base(file), ".txt"), data)
		if err != nil {
			faults = append(faults, fmt.Errorf("mutant %s: %w", m.name, err))
			continue
		}
		all = append(all, m)
	}
	return all, errors.Join(faults...)
}

// head is a mutant's first line.
var head = regexp.MustCompile(`^(.+) \((R\d{3}(?:, R\d{3})*)\)$`)

func parse(name string, data []byte) (mutant, error) {
	m := mutant{name: name}
	archive := txtar.Parse(data)
	found := head.FindStringSubmatch(strings.TrimSpace(string(archive.Comment)))
	if found == nil {
		return m, errors.New("its first line says what it does and ends in the rules that this breaks, as in (R021, R109)")
	}
	m.does = found[1]
	for _, rule := range strings.Split(found[2], ", ") {
		n, _ := strconv.Atoi(rule[1:]) // three digits
		if n < 1 || n > lastRule {
			return m, fmt.Errorf("there is no rule %s", rule)
		}
		m.rules = append(m.rules, n)
	}
	for _, f := range archive.Files {
		changes, err := parseChanges(f.Name, string(f.Data))
		if err != nil {
			return m, fmt.Errorf("%s: %w", f.Name, err)
		}
		m.changes = append(m.changes, changes...)
	}
	if len(m.changes) == 0 {
		return m, errors.New("it changes nothing")
	}
	return m, nil
}

// parseChanges reads the changes of one file. Empty lines may stand between them.
func parseChanges(file, text string) ([]change, error) {
	var all []change
	for text = strings.TrimLeft(text, "\n"); text != ""; text = strings.TrimLeft(text, "\n") {
		text = "\n" + text // so that each marker is found with the line's end before it
		before, rest, ok1 := strings.Cut(text, "\n<<<<\n")
		old, rest, ok2 := strings.Cut("\n"+rest, "\n====\n")
		to, rest, ok3 := strings.Cut("\n"+rest, "\n>>>>\n")
		if before != "" || !ok1 || !ok2 || !ok3 {
			return nil, errors.New("a change is lines between <<<<, ==== and >>>>, each on a line of its own, and nothing stands beside it")
		}
		c := change{file: file, old: lines(old), new: lines(to)}
		if c.old == "" || c.old == c.new {
			return nil, errors.New("a change has no old lines, or changes nothing")
		}
		all = append(all, c)
		text = rest
	}
	if len(all) == 0 {
		return nil, errors.New("it has no change")
	}
	return all, nil
}

// lines ends text, which has a line's end before it, with a line's end.
func lines(text string) string {
	if text == "" {
		return ""
	}
	return text[1:] + "\n"
}

// apply returns the changed files by their paths.
func (m mutant) apply(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, c := range m.changes {
		path := filepath.Join(root, filepath.FromSlash(c.file))
		text, ok := files[path]
		if !ok {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("mutant %s: the engine changed, update the mutant: %w", m.name, err)
			}
			text = string(data)
		}
		// Whole lines: an old text without its indentation must not be found.
		old, text := "\n"+c.old, "\n"+text
		if n := occurrences(text, old); n != 1 {
			return nil, fmt.Errorf("mutant %s: the engine changed, update the mutant: %s has these lines %d times and not once:\n%s",
				m.name, c.file, n, c.old)
		}
		files[path] = strings.Replace(text, old, "\n"+c.new, 1)[1:]
	}
	return files, nil
}

// occurrences counts also those that overlap: two equal lines in a row share the
// line's end between them.
func occurrences(text, of string) int {
	n := 0
	for i := strings.Index(text, of); i >= 0; i = strings.Index(text, of) {
		n++
		text = text[i+1:]
	}
	return n
}
