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
// change nothing: somebody meant something by them. Without a file there are no tasks
// and no services, and theirs change nothing.
func (l *loader) unknownVariables(noFile bool) {
	if l.in.Env.Names == nil {
		return
	}
	known := map[string]bool{}
	for _, v := range Variables(l.names["tasks"], l.names["services"]) {
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
		if what := groupOf(name); noFile && what != "" {
			l.fail(place{env: name}, nil, "it is a %s's, and there is no file that names the %s: name the file with -f, or unset the variable", what, what)
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
		if k.Variable == "" && !p.named() && (name == nameOf(p) || k.Path != p.String() && strings.HasPrefix(name, nameOf(p)+"_")) {
			if k.Secret {
				return "no variable stands for " + k.Path + ", which is a group of names: set " + nameOf(p) + fileVariable + " to the name of a file with a line for each, name: value"
			}
			return "no variable stands for " + p.String() + ", which is a list or a group of names: say it in the file, where ${NAME} stands for a value"
		}
	}
	for _, group := range []string{"services", "tasks"} {
		if rest, of := strings.CutPrefix(name, nameOf(path{group})+"_"); of {
			return l.unknownOf(group, name, rest)
		}
	}
	return l.meant(name, prefix, Variables(nil, nil))
}

// unknownOf words it of a task's, or of a service's.
func (l *loader) unknownOf(group, name, rest string) string {
	of := func(n string) []Variable { return Variables([]string{n}, nil) }
	if group == "services" {
		of = func(n string) []Variable { return Variables(nil, []string{n}) }
	}
	for _, n := range l.names[group] {
		if at := nameOf(path{group, n}) + "_"; strings.HasPrefix(name, at) {
			return l.meant(name, at, slices.DeleteFunc(of(n), func(v Variable) bool { return !strings.HasPrefix(v.Name, at) }))
		}
	}
	for i := strings.IndexByte(rest, '_'); i > 0; { // a name that is misspelt, and a key that is not
		for _, n := range l.names[group] {
			begin := nameOf(path{group, n})
			if policy.Nearest(rest[:i], []string{strings.TrimPrefix(begin, nameOf(path{group})+"_")}) != "" &&
				slices.ContainsFunc(of(n), func(v Variable) bool { return v.Name == begin+rest[i:] }) {
				return "unknown variable, did you mean " + begin + rest[i:] + "?"
			}
		}
		next := strings.IndexByte(rest[i+1:], '_')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	one := strings.TrimSuffix(group, "s")
	if len(l.names[group]) == 0 {
		return "unknown variable: the file names no " + one
	}
	return "unknown variable: no " + one + " of the file begins so; they are " + strings.Join(l.names[group], ", ")
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
