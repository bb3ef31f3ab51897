package config

import (
	"regexp"
	"slices"
	"strings"
)

// Environment is the environment variables of a process.
type Environment struct {
	// Lookup finds one, as os.LookupEnv does. Nil: there are none.
	Lookup func(name string) (string, bool)
	// Names lists them all, so that one that begins with ERGON_ and that nothing knows
	// is a fault and not ignored. Nil: that is not looked for.
	Names func() []string
}

// Flag is a value of the command line. It wins over the environment, which wins over
// the file, which wins over the defaults.
type Flag struct {
	Name  string // as it is called in errors, behind the message: --admin
	Path  string // the key whose value it replaces
	Value string // read as if it stood in the file outside quotes; a ${ in it is text
}

// Inputs are what a configuration is made of beside its file.
type Inputs struct {
	Env   Environment
	Flags []Flag
}

// Resolved is a configuration that also knows where each of its values comes from.
type Resolved struct {
	Config *Config

	file string
	root *node
}

// Resolve is Parse with all that may win over the file.
func Resolve(name string, data []byte, in Inputs) (*Resolved, error) {
	if in.Env.Lookup == nil {
		in.Env.Lookup = func(string) (string, bool) { return "", false }
	}
	l := &loader{file: name, in: in, env: in.Env.Lookup, keys: variableKeys()}
	cfg, err := l.load(data)
	if err != nil {
		return nil, err
	}
	return &Resolved{Config: cfg, file: name, root: l.root}, nil
}

// ResolveFile is Load with all that may win over the file.
func ResolveFile(name string, in Inputs) (*Resolved, error) {
	data, err := read(name)
	if err != nil {
		return nil, err
	}
	return Resolve(name, data, in)
}

// override is what replaces a key of the file: the value of a variable, of a flag or of
// a secret's file, or nothing, where that of another key rules it out.
type override struct {
	at      place
	value   string
	literal bool // it is text, whatever it looks like
	names   []header
	items   []string
}

// rules says whether it says something itself.
func (o override) rules() bool { return o.value != "" || o.names != nil || o.items != nil }

func (o override) node() *node {
	switch {
	case o.names != nil:
		return headerGroup(o.names, o.at)
	case o.items != nil:
		n := &node{kind: listKind, at: o.at}
		for _, item := range o.items {
			n.items = append(n.items, &node{kind: textKind, text: item, filled: true, at: o.at})
		}
		return n
	case o.literal:
		return &node{kind: textKind, text: o.value, filled: true, at: o.at}
	}
	n := scalar(o.value, o.at)
	n.filled = true
	return n
}

// withUser finds a URL with a user, a password or a token in it, in a list of URLs.
var withUser = regexp.MustCompile(`(?i)(^|[,\s])[a-z][a-z0-9+.-]*://[^/,\s@]+@`)

// collect looks for what wins over the file wherever it is known without it.
func (l *loader) collect() {
	l.overrides = map[string]override{}
	for _, k := range l.keys {
		if !k.path.named() {
			l.variable(k, k.path)
		}
	}
	for _, f := range l.in.Flags {
		at := place{flag: f.Name}
		if p := splitPath(f.Path); isSecret(p) && p.nested() {
			l.fail(at, p, "a command line can be read by others, and this is a secret: write %s%s with the name of a file with it in the configuration", p[len(p)-1], fileKey)
			continue
		} else if isSecret(p) {
			l.fail(at, splitPath(f.Path), "a command line can be read by others, and this is a secret: set %s, or %s to the name of a file with it",
				nameOf(splitPath(f.Path)), nameOf(splitPath(f.Path))+fileVariable)
			continue
		}
		if withUser.MatchString(f.Value) {
			l.fail(at, splitPath(f.Path), "a command line can be read by others, and this URL says who to be: set %s", nameOf(splitPath(f.Path)))
			continue
		}
		if f.Value == "" && slices.ContainsFunc(l.keys, func(k variableKey) bool { return k.path.String() == f.Path }) {
			continue // it counts as not given, as an empty variable does
		}
		l.overrides[f.Path] = override{at: at, value: f.Value}
	}
	l.ruleOut()
}

// set is what a variable holds; "" if it is not set.
func (l *loader) set(name string) string {
	if value, ok := l.env(name); ok {
		return value
	}
	return ""
}

// variable takes the value of a key's variable, or of the file that its other one names.
func (l *loader) variable(k variableKey, p path) {
	name, file := nameOf(p), nameOf(p)+fileVariable
	value := l.set(name)
	from := l.set(file)
	switch {
	case k.secret && value != "" && from != "" && !k.group:
		l.fail(place{env: file}, p, "%s is set as well, and both give the same secret: unset one of them", name)
	case k.secret && from != "":
		l.overrides[p.String()] = l.secretFile(place{env: file, from: from}, p, k.group)
		return
	case k.group:
		return
	}
	if value != "" {
		l.overrides[p.String()] = override{at: place{env: name}, value: value}
	}
}

// inNames looks for the variables of the tasks and the services that the file names. Two
// whose names differ in a dash and an underscore share theirs: set, it is a fault.
func (l *loader) inNames(root *node) {
	l.names = map[string][]string{}
	for group := range aName {
		if below := root.get(group); below != nil && below.kind == groupKind {
			for _, e := range below.entries {
				l.names[group] = append(l.names[group], e.name)
			}
		}
	}
	found := map[string]path{}
	for _, k := range l.ofNames(func(k variableKey) bool { return k.path.named() }) {
		is := false
		for _, v := range k.variables(k.path) {
			if l.set(v.Name) == "" {
				continue
			}
			if first, twice := found[v.Name]; twice {
				l.fail(place{env: v.Name}, nil, "it could be of %s and of %s, whose variables have the same name: rename one of them, or say it in the file", first, k.path)
				continue
			}
			found[v.Name], is = k.path, true
		}
		if _, flag := l.overrides[k.path.String()]; is && !flag {
			l.variable(k, k.path)
		}
	}
}

// ofNames are the keys with a variable that want takes, those below the name of a task or
// of a service once for each that the file names.
func (l *loader) ofNames(want func(variableKey) bool) (out []variableKey) {
	for _, k := range l.keys {
		switch {
		case !want(k):
		case !k.path.named():
			out = append(out, k)
		default:
			for _, name := range l.names[k.path[0]] {
				of := k
				of.path = k.path.of(name)
				out = append(out, of)
			}
		}
	}
	return out
}

// replaced says whether something wins over the value that the file has at a path, so
// that the variables in it need not be set.
func (l *loader) replaced(p path) bool {
	name := p.String()
	if _, ok := l.overrides[name]; ok {
		return true
	}
	if of, is := strings.CutSuffix(name, fileKey); is && isSecret(splitPath(of)) {
		_, ok := l.overrides[of]
		return ok
	}
	if len(p) < 3 || !p.named() {
		return false
	}
	own, file := strings.CutSuffix(p[len(p)-1], fileKey)
	beside := append(p[:len(p)-1:len(p)-1], own)
	for _, k := range l.keys {
		if !k.path.named() || len(k.path) != len(p) {
			continue
		}
		at := k.path.of(p[1])
		won := !k.group && l.set(nameOf(at)) != "" || k.secret && l.set(nameOf(at)+fileVariable) != ""
		if slices.Equal(at, p) || file && k.secret && slices.Equal(at, beside) {
			return won
		}
	}
	return false
}
