package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxSecret is how long a file with a secret may be. One that is longer is a mistake in
// its name.
const maxSecret = 64 << 10

// isSecret says whether a value is never shown. The headers of a receiver and of a
// service are groups of such values.
func isSecret(p path) bool {
	switch p.pattern() {
	case "bus.password", "bus.token", "admin.token", "services.*.http.bearer", "services.*.http.password",
		"services.*.sql.password", "services.*.llm.api_key",
		"tasks.*.routes.*.http.bearer", "tasks.*.routes.*.http.password",
		"tasks.*.source.http.routes.*.auth.bearer.*.token":
		return true
	}
	return isHeaders(p) || len(p) > 1 && isHeaders(p[:len(p)-1]) || isSecrets(p) || len(p) > 1 && isSecrets(p[:len(p)-1])
}

// isSecrets says whether a path is of a list of secrets.
func isSecrets(p path) bool {
	name := p.pattern()
	return name == "tasks.*.routes.*.http.signing_secrets" || name == "tasks.*.source.http.routes.*.auth.signature.secrets"
}

// isHeaders says whether a path is of such a group.
func isHeaders(p path) bool {
	name := p.pattern()
	return name == "telemetry.otlp.headers" || name == "services.*.http.headers" || name == "tasks.*.routes.*.http.headers"
}

// ReadSecret reads a secret from a file: all of it, but for one line end behind it. A
// name may begin with ~/, the home directory. The error never shows what is in the file.
func ReadSecret(name string) (string, error) {
	refuse := func(format string, a ...any) (string, error) {
		return "", fmt.Errorf("read it from %q: %s", name, fmt.Sprintf(format, a...))
	}
	file, err := os.Open(atHome(name))
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return refuse("there is no such file: check the name, which counts from the directory that the program was started in")
		case errors.Is(err, fs.ErrPermission):
			return refuse("the file may not be read by this user: change its permissions")
		}
		if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
			err = wrapped.Err // the name is said already
		}
		return refuse("%v", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return refuse("it is a directory: name the file in it")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	switch {
	case err != nil:
		return refuse("it cannot be read to its end")
	case len(data) > maxSecret:
		return refuse("it is longer than 64 KiB, which no secret is: check the name")
	case !utf8.Valid(data):
		return refuse("it is not UTF-8: check the name")
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if secret == "" {
		return refuse("it is empty: write the secret to it")
	}
	return secret, nil
}

// atHome puts the home directory in the place of a leading ~, as package bus does.
func atHome(name string) string {
	rest, ok := strings.CutPrefix(name, "~/")
	if !ok {
		return name
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return name // and the error of reading it shows the ~
	}
	return filepath.Join(home, rest)
}

// secretFile is what the file of a secret holds, or of a group of them. Where it cannot
// be read something stands in, or what is missing would be reported once more.
func (l *loader) secretFile(at place, p path, group bool) override {
	secret, err := ReadSecret(at.from)
	if err != nil {
		l.fail(at, append(p[:len(p)-1:len(p)-1], p[len(p)-1]+fileKey), "%v", err)
		if group {
			return override{at: at, names: []header{}}
		}
		secret = hidden
	}
	if isSecrets(p) {
		items := []string{} // one a line
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); line != "" {
				items = append(items, line)
			}
		}
		return override{at: at, items: items}
	}
	if !group {
		return override{at: at, value: secret, literal: true}
	}
	return override{at: at, names: l.headers(at, p, secret)}
}

// header is one line of a file of headers.
type header struct{ name, value string }

// headers reads such a file: "name: value" line by line, and comments after a #.
func (l *loader) headers(at place, p path, text string) []header {
	out := []header{}
	seen := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		bad := func(r rune) bool { return r <= ' ' || r > '~' }
		switch low := strings.ToLower(name); {
		case !ok || name == "" || strings.ContainsFunc(name, bad): // and its text is not shown: it may be the secret itself
			l.fail(at, append(p[:len(p)-1:len(p)-1], p[len(p)-1]+fileKey), "line %d of %q is not a header: write name: value", i+1, at.from)
		case seen[low]:
			l.fail(at, append(p[:len(p)-1:len(p)-1], p[len(p)-1]+fileKey), "line %d of %q gives a header twice: remove one", i+1, at.from)
		default:
			seen[low] = true
			out = append(out, header{name, strings.TrimSpace(value)})
		}
	}
	return out
}

func headerGroup(names []header, at place) *node {
	n := &node{kind: groupKind, at: at}
	for _, h := range names {
		n.entries = append(n.entries, entry{name: h.name, at: at, value: &node{kind: textKind, text: h.value, filled: true, at: at}})
	}
	return n
}

// fromFiles puts what the files of secrets hold in the place of the keys that name
// them. Where a variable wins over the key they are not read.
func (l *loader) fromFiles(root *node) *node {
	for _, k := range append(l.ofNames(func(k variableKey) bool { return k.secret }), secretsBelow(root, nil)...) {
		keyPath := append(k.path[:len(k.path)-1:len(k.path)-1], k.path[len(k.path)-1]+fileKey)
		n := root.find(keyPath)
		if n == nil {
			continue
		}
		at := n.at
		root = root.remove(keyPath)
		_, replaced := l.overrides[k.path.String()]
		switch {
		case n.kind == nullKind || n.kind == badKind || replaced:
			continue
		case n.kind == listKind || n.kind == groupKind:
			l.fail(at, keyPath, "the name of a file is expected, and this is %s", n.kind)
			continue
		case !k.group && root.says(k.path):
			l.fail(at, keyPath, "%s stands beside it, and both give the same secret: keep one", k.path[len(k.path)-1])
			continue
		}
		at.from = n.text
		root = l.put(root, k.path, l.secretFile(at, k.path, k.group))
	}
	return root
}

// secretsBelow are the secrets of routes that name a file: they have no variables.
func secretsBelow(n *node, p path) (out []variableKey) {
	for i, item := range n.items {
		out = append(out, secretsBelow(item, p.item(i))...)
	}
	for _, e := range n.entries {
		if own, file := strings.CutSuffix(e.name, fileKey); file {
			if at := p.key(own); at.nested() && isSecret(at) {
				out = append(out, variableKey{path: at, secret: true, group: isHeaders(at)})
			}
			continue
		}
		if len(p) > 0 || e.name == "tasks" {
			out = append(out, secretsBelow(e.value, p.key(e.name))...)
		}
	}
	return out
}

// put puts what wins at its path. A file of headers lies beside what the configuration
// says of others; where a variable names it, it wins over those too.
func (l *loader) put(root *node, p path, o override) *node {
	n := o.node()
	if o.names == nil {
		return root.put(p, n)
	}
	if there := root.find(p); there != nil && there.kind == groupKind {
		merged := &node{kind: groupKind, at: there.at, entries: n.entries}
		for _, e := range there.entries {
			switch twice := headerGroup(o.names, o.at).fold(e.name); {
			case !twice:
				merged.entries = append(merged.entries, e)
			case o.at.env == "":
				l.fail(e.at, p.key(e.name), "%q has this header as well: keep one", o.at.from)
			}
		}
		n = merged
	}
	return root.put(p, n)
}

// fold says whether n has a key but for case, which headers do not have.
func (n *node) fold(key string) bool {
	for _, e := range n.entries {
		if strings.EqualFold(e.name, key) {
			return true
		}
	}
	return false
}
