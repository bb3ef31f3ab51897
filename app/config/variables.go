package config

import (
	"reflect"
	"slices"
	"strings"
)

// prefix begins the name of every variable of Ergon's.
const prefix = "ERGON_"

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
	for _, k := range variableKeys() {
		if k.path[0] != "tasks" {
			out = append(out, k.variables(k.path)...)
		}
	}
	for _, name := range tasks {
		for _, k := range variableKeys() {
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
	for _, k := range Keys() {
		switch p := splitPath(k.Path); {
		case k.Variable != "":
			out = append(out, variableKey{path: p, secret: k.Secret, group: k.Type == typeNames})
		case k.Secret:
			out = append(out, variableKey{path: p, secret: true, group: true})
		}
	}
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

// variableOf is the variable of a key for its documentation, or "".
func variableOf(p path, t reflect.Type) string {
	switch typeName(t) {
	case typeList, typeNames, typeFree:
		return ""
	}
	names := 0
	q := slices.Clone(p)
	for i, k := range q {
		if k == anyName {
			names++
			q[i] = aTask
		}
	}
	if names > 1 || names == 1 && p[0] != "tasks" {
		return ""
	}
	return nameOf(q)
}

// taskPaths is the keys of a task that have a variable, without tasks and its name.
func taskPaths() []path {
	var out []path
	for _, k := range variableKeys() {
		if k.path[0] == "tasks" {
			out = append(out, k.path[2:])
		}
	}
	return out
}
