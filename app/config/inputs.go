package config

import "strings"

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
}

// rules says whether it says something itself.
func (o override) rules() bool { return o.value != "" || o.names != nil }

func (o override) node() *node {
	switch {
	case o.names != nil:
		return headerGroup(o.names, o.at)
	case o.literal:
		return &node{kind: textKind, text: o.value, filled: true, at: o.at}
	}
	n := scalar(o.value, o.at)
	n.filled = true
	return n
}

// collect looks for what wins over the file wherever it is known without it.
func (l *loader) collect() {
	l.overrides = map[string]override{}
	for _, k := range l.keys {
		if k.path[0] != "tasks" {
			l.variable(k, k.path)
		}
	}
	for _, f := range l.in.Flags {
		at := place{flag: f.Name}
		if isSecret(splitPath(f.Path)) {
			l.fail(at, splitPath(f.Path), "a command line can be read by others, and this is a secret: set %s, or %s to the name of a file with it",
				nameOf(splitPath(f.Path)), nameOf(splitPath(f.Path))+fileVariable)
			continue
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

// inTasks looks for the variables of the tasks that the file names. Two tasks whose
// names differ in a dash and an underscore share theirs: set, it is a fault.
func (l *loader) inTasks(root *node) {
	tasks := root.get("tasks")
	if tasks == nil || tasks.kind != groupKind {
		return
	}
	found := map[string][]path{}
	var order []string
	for _, e := range tasks.entries {
		l.tasks = append(l.tasks, e.name)
		for _, below := range l.taskKeys() {
			p := append(path{"tasks", e.name}, below...)
			name := nameOf(p)
			if value := l.set(name); value != "" {
				if found[name] == nil {
					order = append(order, name)
				}
				found[name] = append(found[name], p)
			}
		}
	}
	for _, name := range order {
		paths := found[name]
		if len(paths) > 1 {
			l.fail(place{env: name}, nil, "it could be of %s and of %s, whose variables have the same name: rename a task, or say it in the file", paths[0], paths[1])
			continue
		}
		if _, flag := l.overrides[paths[0].String()]; !flag {
			value := l.set(name)
			l.overrides[paths[0].String()] = override{at: place{env: name}, value: value}
		}
	}
}

// taskKeys is the keys of a task that have a variable, found once.
func (l *loader) taskKeys() []path {
	if l.ofTask == nil {
		for _, k := range l.keys {
			if k.path[0] == "tasks" {
				l.ofTask = append(l.ofTask, k.path[2:])
			}
		}
	}
	return l.ofTask
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
	if len(p) < 3 || p[0] != "tasks" {
		return false
	}
	if value := l.set(nameOf(p)); value == "" {
		return false
	}
	for _, below := range l.taskKeys() {
		if below.String() == p[2:].String() {
			return true
		}
	}
	return false
}
