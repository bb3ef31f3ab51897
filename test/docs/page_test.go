package docs_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// snippet is one fenced block of a page.
type snippet struct {
	line  int // of its text's first line, from 1
	lang  string
	marks []string
	text  string
}

// has reports whether the block has a mark.
func (s snippet) has(mark string) bool { return slices.Contains(s.marks, mark) }

// file is the path that the block is to be written to, "" for none; more says that it is
// the end of that file.
func (s snippet) file() (name string, more bool) {
	for _, m := range s.marks {
		if name, ok := strings.CutPrefix(m, "file="); ok {
			return name, false
		}
		if name, ok := strings.CutPrefix(m, "add="); ok {
			return name, true
		}
	}
	return "", false
}

// parse returns the fenced blocks of a page, in their order, those in comments included.
func parse(page string) (found []snippet, err error) {
	var open *snippet
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			words := append(strings.Fields(info), "")
			open = &snippet{line: i + 2, lang: words[0], marks: slices.DeleteFunc(words[1:], func(w string) bool { return w == "" })}
		case fence && info == "":
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block is not closed", open.line)
	}
	return found, nil
}

// marked reports whether a page takes part: whether anything in it is to be run.
func marked(page []snippet) bool {
	return slices.ContainsFunc(page, func(s snippet) bool {
		name, _ := s.file()
		return s.has("run") || name != ""
	})
}

// check finds blocks that would be passed over without anybody's having said so.
func check(page []snippet) error {
	for i, s := range page {
		known := true
		switch s.lang {
		case "sh":
			known = s.has("run") && len(s.marks) == 1 || s.has("run") && s.has("fails") && len(s.marks) == 2
		case "output":
			if i == 0 || page[i-1].lang != "sh" || !page[i-1].has("run") {
				return fmt.Errorf("line %d: an output follows a block that is run", s.line)
			}
			known = len(s.marks) == 0
		case "":
			known = len(s.marks) == 0
		default:
			name, _ := s.file()
			known = filepath.IsLocal(name) && len(s.marks) == 1
		}
		if !known && !(s.has("ignored") && len(s.marks) == 1) {
			return fmt.Errorf("line %d: a block of %q with the marks %q: it is `sh run`, `sh run fails`, `output`, LANGUAGE `file=PATH` or `add=PATH`, or `ignored`", s.line, s.lang, s.marks)
		}
	}
	return nil
}

// matches reports whether a command printed what a page says: a line of "…" stands for
// any lines, and "…" in a line for any text.
func matches(want, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for line := range strings.SplitSeq(strings.TrimRight(want, "\n"), "\n") {
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(strings.TrimRight(line, " "), "…") {
			if i > 0 {
				pattern.WriteString(`.*`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(` *\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(got, "\n") + "\n")
}
