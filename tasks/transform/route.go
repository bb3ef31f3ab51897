package transform

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// route compiles the route, and holds what it is known to name against the
// routes that are bound.
func (c *compiler) route(t *Transform, s Spec) {
	switch {
	case len(s.Routes) == 0:
		c.faults = append(c.faults, Fault{Path: []string{"routes"}, Missing: true, Message: "there is no route to send on: add routes to the task"})
	case s.Route == "" && len(s.Routes) > 1:
		c.faults = append(c.faults, Fault{Path: []string{"route"}, Missing: true, Message: "there is more than one route (" + list(s.Routes) + "): say which, as in payload.ok ? \"" + s.Routes[0] + "\" : \"" + s.Routes[1] + "\""})
	}
	if s.Route == "" {
		return
	}
	t.route = c.compile(s.Route, cel.StringType, "route")
	if t.route == nil {
		return
	}
	var named []string
	all := true
	results(t.route.ast.Expr(), func(e ast.Expr) {
		text, ok := constant(e)
		if !ok {
			all = false
			return
		}
		named = append(named, text)
		if !slices.Contains(s.Routes, text) {
			at := t.route.ast.SourceInfo().GetStartLocation(e.ID())
			c.fail(at.Line(), at.Column()+1, fmt.Sprintf("the task has no route %q: it has %s", text, list(s.Routes)), "route")
		}
	})
	for _, r := range s.Routes {
		if all && !slices.Contains(named, r) {
			c.fail(0, 0, fmt.Sprintf("it never names the route %q: name it, or remove it from the task's routes", r), "route")
		}
	}
}

// results calls each for every expression that may be the value of e, as far as
// that can be seen.
func results(e ast.Expr, each func(ast.Expr)) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional {
		args := e.AsCall().Args()
		results(args[1], each)
		results(args[2], each)
		return
	}
	each(e)
}

func constant(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

func list(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
