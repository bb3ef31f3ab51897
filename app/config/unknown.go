package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ergon-framework/ergon/policy"
)

// foreign are variables that begin like ours and are somebody else's: those that
// Kubernetes and container links make of a service that is called ergon, and those
// of the project's own tests, whose processes hand them to one another.
var foreign = regexp.MustCompile(`^ERGON_(?:(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)|(?:TEST|SOAK)_.*)$`)

// named are the variables of ours that a file names itself: ${ERGON_REGION:-eu}.
var named = regexp.MustCompile(`\$\{(ERGON_\w+)`)

// unknownVariables reports the variables that begin with ERGON_, hold something, and
// change nothing: somebody meant something by them. Without a file there are no tasks,
// and theirs change nothing.
func (l *loader) unknownVariables(noFile bool) {
	if l.in.Env.Names == nil {
		return
	}
	known := map[string]bool{}
	for _, v := range Variables(l.tasks...) {
		known[v.Name] = true
	}
	for _, m := range named.FindAllStringSubmatch(l.raw, -1) {
		known[m[1]] = true
	}
	names := slices.Clone(l.in.Env.Names())
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if !strings.HasPrefix(name, prefix) || known[name] || foreign.MatchString(name) || l.set(name) == "" {
			continue
		}
		if noFile && strings.HasPrefix(name, TaskVariables) {
			l.fail(place{env: name}, nil, "it is a task's, and there is no file that names the task: name the file with -f, or unset the variable")
			continue
		}
		l.fail(place{env: name}, nil, "%s", l.unknownVariable(name))
	}
}

// unknownVariable words the fault: what has no variable at all is told from what is
// misspelt.
func (l *loader) unknownVariable(name string) string {
	for _, k := range Keys() {
		p := splitPath(k.Path)
		if i := slices.Index(p, anyName); i >= 0 {
			p = p[:i]
		}
		if k.Variable == "" && p[0] != "tasks" && (name == nameOf(p) || k.Path != p.String() && strings.HasPrefix(name, nameOf(p)+"_")) {
			if k.Secret {
				return "no variable stands for " + k.Path + ", which is a group of names: set " + nameOf(p) + fileVariable + " to the name of a file with a line for each, name: value"
			}
			return "no variable stands for " + p.String() + ", which is a list or a group of names: say it in the file, where ${NAME} stands for a value"
		}
	}
	rest, ofTask := strings.CutPrefix(name, TaskVariables)
	if !ofTask {
		return l.meant(name, prefix, Variables())
	}
	for _, task := range l.tasks {
		if at := nameOf(path{"tasks", task}) + "_"; strings.HasPrefix(name, at) {
			return l.meant(name, at, slices.DeleteFunc(Variables(task), func(v Variable) bool { return !strings.HasPrefix(v.Name, at) }))
		}
	}
	for i := strings.IndexByte(rest, '_'); i > 0; { // a task that is misspelt, and a key that is not
		for _, task := range l.tasks {
			other := nameOf(path{"tasks", task}) + rest[i:]
			if policy.Nearest(rest[:i], []string{strings.TrimPrefix(nameOf(path{"tasks", task}), TaskVariables)}) != "" &&
				slices.ContainsFunc(Variables(task), func(v Variable) bool { return v.Name == other }) {
				return "unknown variable, did you mean " + other + "?"
			}
		}
		next := strings.IndexByte(rest[i+1:], '_')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	if len(l.tasks) == 0 {
		return "unknown variable: the file names no task"
	}
	return "unknown variable: no task of the file begins so; they are " + strings.Join(l.tasks, ", ")
}

// meant is the nearest variable that begins as the one at fault does; where they
// begin is not compared, for what is long is near to everything.
func (l *loader) meant(name, begin string, known []Variable) string {
	var rest []string
	for _, v := range known {
		rest = append(rest, strings.TrimPrefix(v.Name, begin))
	}
	if near := policy.Nearest(strings.TrimPrefix(name, begin), rest); near != "" {
		return "unknown variable, did you mean " + begin + near + "?"
	}
	return "unknown variable: ergon config schema and docs/reference/configuration.md have the keys, of which each has one; unset it if it is not meant for Ergon"
}
