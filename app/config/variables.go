package config

import (
	"reflect"
	"slices"
	"strings"
)

// prefix begins the name of every variable of Ergon's.
const prefix = "ERGON_"

// OfNamed says whether a variable is one of a task or of a service. Those are of use only
// beside a file that names them: without one they are faults.
func OfNamed(variable string) bool { return groupOf(variable) != "" }

// groupOf is task or service for a variable of one, else "".
func groupOf(name string) string {
	for _, group := range []string{"services", "tasks"} {
		if strings.HasPrefix(name, nameOf(path{group})+"_") {
			return strings.TrimSuffix(group, "s")
		}
	}
	return ""
}

// aName stands for the name of a task or of a service in a Key's variable.
var aName = map[string]string{"tasks": "<TASK>", "services": "<SERVICE>"}

// named says whether a path leads below the name of a task or of a service. What does has
// variables, unlike what stands below other names of the user's.
func (p path) named() bool { return len(p) > 0 && aName[p[0]] != "" }

// Variable is an environment variable that wins over a key of the file. Set to
// nothing, it counts as unset.
type Variable struct {
	Name string // ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY
	// Path is the key whose value it replaces, read as if it stood in the file
	// outside quotes. A ${ in it is text.
	Path string
	// File says that it names a file, with the value in it; it is of a secret.
	File bool
}

// Variables lists all that a configuration with these tasks and services knows. The rule
// is one: ERGON_, and the path of the key in capitals, with underscores in the place of
// dots and of a name's dashes. A key has none that is a list, or that stands below a name
// of the user's which is neither a task's nor a service's.
func Variables(tasks, services []string) []Variable {
	var out []Variable
	keys := variableKeys()
	for _, k := range keys {
		if !k.path.named() {
			out = append(out, k.variables(k.path)...)
		}
	}
	for _, group := range []struct {
		key   string
		names []string
	}{{"services", services}, {"tasks", tasks}} {
		for _, name := range group.names {
			for _, k := range keys {
				if k.path[0] == group.key {
					out = append(out, k.variables(k.path.of(name))...)
				}
			}
		}
	}
	return out
}

// of puts a name of a task or of a service in the place of the one that stands for any.
func (p path) of(name string) path { return slices.Concat(path{p[0], name}, p[2:]) }

// variableKey is a key that has a variable.
type variableKey struct {
	path   path // with * for the name of a task or of a service
	secret bool
	group  bool // of secrets: it has a variable only for a file of them
}

// variableKeys lists them in the order of the documentation.
func variableKeys() []variableKey {
	var out []variableKey
	walkKeys(func(p path, v reflect.Value) {
		secret := isSecret(p)
		if hasVariable(p, v.Type()) || secret && !p.nested() {
			out = append(out, variableKey{path: slices.Clone(p), secret: secret, group: typeName(v.Type()) == typeNames})
		}
	})
	return out
}

func (k variableKey) variables(p path) []Variable {
	var out []Variable
	if !k.group {
		out = append(out, Variable{Name: nameOf(p), Path: p.String()})
	}
	if k.secret {
		out = append(out, Variable{Name: nameOf(p) + fileVariable, Path: p.String(), File: true})
	}
	return out
}

// fileVariable and fileKey end the names of what holds the path of a secret's file.
const (
	fileVariable = "_FILE"
	fileKey      = "_file"
)

// nameOf is the rule.
func nameOf(p path) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(strings.Join(p, "_"), "-", "_"))
}

// hasVariable says whether a key has one: it holds one value, and stands below no name
// but a task's or a service's.
func hasVariable(p path, t reflect.Type) bool {
	switch typeName(t) {
	case typeList, typeInts, typeNames, typeFree:
		return false
	}
	i := slices.Index(p, anyName)
	return i < 0 || p.named() && !slices.Contains(p[i+1:], anyName)
}

// nested says whether a path leads below a further name or item of a list than that of a
// task or a service: then it has no variable.
func (p path) nested() bool { return strings.Count(p.pattern(), anyName) > 1 }

// variableOf is the variable of a key for its documentation, or "".
func variableOf(p path, t reflect.Type) string {
	if !hasVariable(p, t) {
		return ""
	}
	return nameOf(p.shown())
}

// shown is a path for its documentation.
func (p path) shown() path {
	if !p.named() {
		return p
	}
	return p.of(aName[p[0]])
}
