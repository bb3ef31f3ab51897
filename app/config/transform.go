package config

import (
	"errors"
	"strings"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/tasks/transform"
)

// UseTransform makes a task of expressions; see Transform.
const UseTransform = "transform"

// uses are the kinds of task that no module needs to provide.
var uses = [...]string{UseTransform}

// Transform is a task of expressions in CEL; see package tasks/transform for what
// they see and can do. The filter comes first, then the rules, then what is sent.
type Transform struct {
	// Which transactions go on; the others are done with, and nothing is sent.
	// Default: all.
	Filter string `yaml:"filter"`
	// What a transaction must not be: the first rule that holds is its BUSINESS
	// failure. Default none.
	FailIf []FailIf `yaml:"fail_if"`
	// The fields of what is sent, by name. Default: the payload as it came.
	Map map[string]string `yaml:"map"`
	// The name of the route to send on. Required where the task has more than one.
	Route string `yaml:"route"`
	// The key of what is sent, by which the transport keeps it in order. Default none.
	Key string `yaml:"key"`
	// What evaluating one expression once may cost: a step costs 1. Above it the
	// transaction fails, as BUSINESS. 0 is the default, 200000: there is always a bound.
	MaxCost int64 `yaml:"max_cost"`
}

// FailIf is one rule of a transform.
type FailIf struct {
	// When it holds: true or false. Required.
	When string `yaml:"when"`
	// What the failure says: a text. Required.
	Message string `yaml:"message"`
}

// Spec is t for package tasks/transform, with the routes of its task.
func (t Transform) Spec(routes []string) transform.Spec {
	s := transform.Spec{
		Filter: t.Filter, Map: t.Map, Route: t.Route, Key: t.Key, MaxCost: uint64(max(t.MaxCost, 0)), Routes: routes,
	}
	for _, r := range t.FailIf {
		s.FailIf = append(s.FailIf, transform.Rule{When: r.When, Message: r.Message})
	}
	return s
}

// use checks what a task that no module provides is made of.
func (v *validator) use(p path, t Task) {
	switch {
	case t.Use == UseTransform && t.Transform == nil:
		v.need(p.key("transform"), "the expressions are required: write transform: { filter: …, map: { … } }")
	case t.Use == UseTransform:
		v.transform(p.key("transform"), t)
	case t.Use != "":
		near := policy.Nearest(t.Use, uses[:])
		if near != "" {
			near = " (did you mean " + quote(near) + "?)"
		}
		v.fail(p.key("use"), "%s is not known here: there is %s%s; leave use out for a task that a module provides", quote(t.Use), strings.Join(uses[:], ", "), near)
	case t.Transform != nil:
		v.need(p.key("transform"), "this is for a task of expressions: write use: %s beside it, or remove it", UseTransform)
	}
}

func (v *validator) transform(p path, t Task) {
	v.count(p.key("max_cost"), t.Transform.MaxCost)
	_, err := transform.Compile(t.Transform.Spec(t.Outputs()))
	faults, _ := errors.AsType[transform.Faults](err)
	for _, f := range faults {
		at := p
		if f.Path[0] == "routes" { // they are the task's
			at = p[:len(p)-1]
		}
		for _, key := range f.Path {
			at = at.key(key)
		}
		message := f.Message
		if f.Line > 0 {
			message = "at " + place{line: f.Line, column: f.Column}.String() + " of the expression: " + message
		}
		v.fail(at, "%s", message)
		found := &v.found[len(v.found)-1]
		found.follows, found.inside = f.Missing, place{line: f.Line, column: f.Column}
	}
}

// within is the place in the file of a place inside a text that begins at a
// place, as far as the file holds the text as it is: not where it has escapes or
// variables, or where lines were folded.
func (l *loader) within(at, inside place, text string) place {
	if inside.line == 0 || at.env != "" {
		return at
	}
	written := strings.Split(text, "\n")
	if inside.line > len(written) {
		return at
	}
	line := []rune(written[inside.line-1])
	raw := strings.Split(l.raw, "\n")
	if len(written) == 1 { // it may stand behind its key, in quotes or not
		for skip := range 2 {
			if from := at.column - 1 + skip; holds(raw, at.line, from, line) {
				return place{line: at.line, column: from + inside.column}
			}
		}
	}
	// Of a block the lines follow, indented.
	number := at.line + inside.line
	if number > len(raw) {
		return at
	}
	below := []rune(raw[number-1])
	indent := len(below) - len([]rune(strings.TrimLeft(string(below), " ")))
	if strings.TrimLeft(string(line), " ") == string(below[indent:]) {
		lead := len(line) - len([]rune(strings.TrimLeft(string(line), " ")))
		return place{line: number, column: max(indent-lead, 0) + inside.column}
	}
	return at
}

// holds says whether a line of a file has a text from a character on.
func holds(raw []string, line, from int, text []rune) bool {
	if line < 1 || line > len(raw) {
		return false
	}
	have := []rune(raw[line-1])
	return from >= 0 && from+len(text) <= len(have) && string(have[from:from+len(text)]) == string(text)
}
