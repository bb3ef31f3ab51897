package http

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/ergon-framework/ergon"
)

// place is where in a URL a field stands; each has its own way to escape.
type place int

const (
	inHost place = iota + 1
	inPath
	inQuery
)

// target is a compiled URL template.
type target struct {
	parts []part
	fixed *url.URL // of a template without fields
	// shown names it in errors: without the query, where keys of APIs stand.
	shown string
	// hostFromData says that a field stands in the host, openHost that the data may
	// lead to any host.
	hostFromData, openHost bool
}

// compileTarget reads and checks a URL template.
func compileTarget(template string, hostFromData bool) (*target, error) {
	parts, err := parseTemplate(template)
	if err != nil {
		return nil, err
	}
	t := &target{parts: parts}
	if err := t.place(); err != nil {
		return nil, err
	}
	if t.hostFromData && !hostFromData {
		return nil, errors.New("a field stands in the host, so the data says to whom it goes: " +
			"set host_from_data if that is meant")
	}
	t.shown, _, _ = strings.Cut(template, "?")
	probe, err := t.assemble(func(part) (string, error) { return "x", nil })
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(probe)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no URL: %w", t.shown, errors.Unwrap(err)) // url.Error shows all of it
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme %q is unknown: use https or http", u.Scheme)
	case u.User != nil:
		return nil, errors.New("a user or a password stands in it, where logs would show them: use user and password")
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", t.shown)
	}
	if _, ok := static(parts); ok {
		t.fixed = u
	}
	return t, nil
}

// place says of each field where it stands.
func (t *target) place() error {
	if len(t.parts) == 0 {
		return errors.New("it is missing: say where to send")
	}
	first := t.parts[0].text
	scheme := strings.Index(first, "://")
	if scheme < 0 {
		return errors.New(`it has to begin with https:// or http://`)
	}
	at, bracket, suffix := inHost, false, ""
	for i := range t.parts {
		p := &t.parts[i]
		if p.field != nil {
			switch {
			case at == inHost && bracket, at == 0:
				return fmt.Errorf("{%s} stands in the port or in an address: only a host's name can be from data", p.field.name)
			case at == inHost:
				t.hostFromData, suffix = true, ""
			}
			p.place = at
			continue
		}
		text := p.text
		if i == 0 {
			text = text[scheme+len("://"):]
		}
		for j := range len(text) {
			c := text[j]
			switch {
			case c == '{' || c == '}' || c == '\\' || c <= ' ' || c == 0x7f:
				return fmt.Errorf("%q stands in it: percent-encode it", c)
			case c == '#':
				return errors.New("it has a #: what stands behind one is never sent")
			case at == inPath && c == '?':
				at = inQuery
			case at != inHost && at != 0:
			case c == '/':
				at = inPath
			case c == '?':
				at = inQuery
			case c == '[':
				bracket = true
			case c == ']':
				bracket = false
			case c == ':' && !bracket:
				at = 0 // the port
			case at == inHost:
				suffix += string(c)
			}
		}
	}
	// ".example.com" behind the last field leaves the host with its owner, ".com" does not.
	t.openHost = t.hostFromData && !(strings.HasPrefix(suffix, ".") && strings.Count(suffix, ".") >= 2 && !strings.HasSuffix(suffix, "."))
	return nil
}

// url is where one transaction goes. What it can't be made of is BUSINESS.
func (t *target) url(s *fields) (*url.URL, error) {
	if t.fixed != nil {
		return t.fixed, nil
	}
	text, err := t.assemble(func(p part) (string, error) {
		v, err := s.value(p.field, "url")
		if err != nil {
			return "", err
		}
		return p.escape(v)
	})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, ergon.Business("url: what the transaction's fields make of %q is no URL: %w", t.shown, errors.Unwrap(err))
	}
	return u, nil
}

func (t *target) assemble(value func(part) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.field == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := value(p)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// escape makes a value part of the URL that can't end its place.
func (p part) escape(v string) (string, error) {
	switch p.place {
	case inHost:
		for i := range len(v) {
			c := v[i]
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
				return "", ergon.Business("url: %s is %.80q, and a host has only letters, digits, - and .", p.field.name, v)
			}
		}
		if v == "" || v[0] == '.' || v[len(v)-1] == '.' || strings.Contains(v, "..") {
			return "", ergon.Business("url: %s is %.80q, and that is no host", p.field.name, v)
		}
		return v, nil
	case inPath:
		if v == "" { // DELETE /orders/ is not DELETE /orders/7
			return "", ergon.Business("url: %s is empty, which makes it another path", p.field.name)
		}
		// Escaped or not, servers and proxies on the way resolve these.
		for _, segment := range strings.FieldsFunc(v, func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." {
				return "", ergon.Business("url: %s is %.80q, which leads to another path", p.field.name, v)
			}
		}
		return url.PathEscape(v), nil
	}
	return url.QueryEscape(v), nil
}
