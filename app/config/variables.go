package config

import (
	"reflect"
	"slices"
	"strings"
)

// prefix begins the name of every variable of Ergon's.
const prefix = "ERGON_"

// TaskVariables begins the names of the variables of tasks. They are of use only beside
// a file that names the tasks: without one they are faults.
const TaskVariables = prefix + "TASKS_"

// aTask stands for the name of a task in a Key's variable.
const aTask = "<TASK>"

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

// Variables lists all that a configuration with these tasks knows. The rule is one:
// ERGON_, and the path of the key in capitals, with underscores in the place of dots
// and of a task's dashes. A key has none that is a list, or that stands below a name
// of the user's which is not a task's.
func Variables(tasks ...string) []Variable {
	var out []Variable
	keys := variableKeys()
	for _, k := range keys {
		if k.path[0] != "tasks" {
			out = append(out, k.variables(k.path)...)
		}
	}
	for _, name := range tasks {
		for _, k := range keys {
			if k.path[0] == "tasks" {
				out = append(out, k.variables(slices.Concat(path{"tasks", name}, k.path[2:]))...)
			}
		}
	}
	return out
}

// variableKey is a key that has a variable.
type variableKey struct {
	path   path // with * for the name of a task
	secret bool
	group  bool // of secrets: it has a variable only for a file of them
}

// variableKeys lists them in the order of the documentation.
func variableKeys() []variableKey {
	var out []variableKey
	walkKeys(func(p path, v reflect.Value) {
		secret := isSecret(p)
		if hasVariable(p, v.Type()) || secret {
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
// but a task's.
func hasVariable(p path, t reflect.Type) bool {
	switch typeName(t) {
	case typeList, typeNames, typeFree:
		return false
	}
	i := slices.Index(p, anyName)
	return i < 0 || p[0] == "tasks" && !slices.Contains(p[i+1:], anyName)
}

// variableOf is the variable of a key for its documentation, or "".
func variableOf(p path, t reflect.Type) string {
	if !hasVariable(p, t) {
		return ""
	}
	q := slices.Clone(p)
	if i := slices.Index(q, anyName); i >= 0 {
		q[i] = aTask
	}
	return nameOf(q)
}
