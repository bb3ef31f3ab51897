package config

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// hidden stands in for a secret in an excerpt.
const hidden = "xxxxx"

// Where a secret begins. Excerpts are made from the text and not from the tree of
// the document, because a file that doesn't parse has none, and it is the one whose
// lines are shown.
var (
	secretKey = regexp.MustCompile(`(?i)[\w.-]*(?:pass\w*|pwd|secrets?|token|bearer|api[_-]?key)["']?[ \t]*:`)
	userinfo  = regexp.MustCompile(`://.*@|[^\s"']+@`)
	// secretGroup is a key below which each value is one, whatever it is called.
	secretGroup = regexp.MustCompile(`(?i)\bheaders["']?[ \t]*:`)
	query       = regexp.MustCompile(`(://[^\s"'?]*)\?[^\s"']*`)
	otherKey    = regexp.MustCompile(`^[ \t-]*["']?[\w.-]+["']?[ \t]*:(?:[ \t]|$)`)
)

// address is the part of a URL that a message must not quote.
var address = regexp.MustCompile(`://[^\s"]*@`)

// safe makes a message fit for a terminal: one line, without the user and the
// password of a URL.
func safe(message string) string {
	return strings.Map(visible, address.ReplaceAllString(message, "://"+hidden+"@"))
}

// visible keeps what a file holds from steering a terminal.
func visible(r rune) rune {
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
		return utf8.RuneError
	}
	return r
}

// secretKeys are those whose value is never shown, however they are misspelt.
var secretKeys = []string{"password", "token", "bearer", "api_key", "secrets", "signing_secrets"}

// lines is a file as it may be shown: line by line, secrets hidden.
type lines []string

func newLines(text string) lines {
	out := strings.Split(text, "\n")
	var (
		inside = -1 // the indentation of the line that began a secret
		empty  bool // nothing of it stood on that line, and it is no group of secrets
		quote  byte // that a secret is still in
	)
	for i, line := range out {
		body := strings.TrimLeft(line, " \t")
		indent := len(line) - len(body)
		switch {
		case quote != 0:
			out[i] = hide(line, 0)
			if closes(line, quote) {
				quote = 0
			}
			continue
		case inside >= 0 && (body == "" || indent > inside) && !(empty && otherKey.MatchString(line)):
			out[i] = hide(line, 0)
			continue
		}
		inside = -1
		group := secretGroup.FindStringIndex(line)
		at := secretKey.FindStringIndex(line)
		if at == nil || group != nil && group[0] < at[0] {
			at = group
		}
		if at != nil {
			inside = indent
			rest := strings.TrimLeft(line[at[1]:], " \t")
			empty = rest == "" && group == nil
			if rest != "" && (rest[0] == '"' || rest[0] == '\'') && !closes(rest[1:], rest[0]) {
				quote = rest[0]
			}
			line = hide(line, at[1])
		}
		out[i] = query.ReplaceAllString(userinfo.ReplaceAllString(line, hidden+"@"), "${1}?"+hidden)
	}
	return out
}

// hide hides a line from a byte on. A comment or the next key of a line goes with
// it: what is hidden by mistake costs less than what is shown by mistake.
func hide(line string, from int) string {
	head, rest := line[:from], line[from:]
	body := strings.TrimLeft(rest, " \t")
	if body == "" {
		return line
	}
	return head + rest[:len(rest)-len(body)] + hidden
}

func closes(text string, quote byte) bool {
	for i := 0; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote:
			return true
		}
	}
	return false
}

// hideAfter hides what follows the first colon at or after a column of a line.
func (l lines) hideAfter(line, column int) {
	if line < 1 || line > len(l) {
		return
	}
	text := []rune(l[line-1])
	from := len(string(text[:min(column-1, len(text))]))
	if colon := strings.IndexByte(l[line-1][from:], ':'); colon >= 0 {
		from += colon + 1
	}
	l[line-1] = hide(l[line-1], from)
}

// placeOf is the place of a byte of a text.
func placeOf(text string, offset int) place {
	before := text[:offset]
	return place{
		line:   strings.Count(before, "\n") + 1,
		column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
	}
}

// width is how much of a long line is shown.
const width = 120

// excerpt is a line and, below it, a caret.
func (l lines) excerpt(line, column int) string {
	if line < 1 || line > len(l) || column < 1 {
		return ""
	}
	text := []rune(l[line-1])
	if len(text) == 0 {
		return ""
	}
	caret := min(column-1, len(text))
	from, prefix := 0, ""
	if caret > width*2/3 {
		from, prefix = caret-width/3, "…"
	}
	to, suffix := len(text), ""
	if to-from > width {
		to, suffix = from+width, "…"
	}
	pad := make([]rune, 0, width)
	for _, r := range prefix + string(text[from:caret]) {
		if r != '\t' { // a tab is as wide below as above
			r = ' '
		}
		pad = append(pad, r)
	}
	shown := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return visible(r)
	}, string(text[from:to]))
	return "    " + prefix + shown + suffix + "\n    " + string(pad) + "^"
}

// line is a line by its number, or "".
func (l lines) line(number int) string {
	if number < 1 || number > len(l) {
		return ""
	}
	return l[number-1]
}
