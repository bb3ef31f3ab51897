package transform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/interpreter"
)

// compiler collects the faults of a Spec.
type compiler struct {
	env    *cel.Env
	guards interpreter.InterpretableDecoratorV2
	cost   uint64
	faults Faults
}

// Compile checks a Spec and makes a Transform of it. The error is Faults: all of
// them.
func Compile(s Spec) (*Transform, error) {
	env, err := newEnv()
	if err != nil {
		return nil, Faults{{Message: err.Error()}}
	}
	c := &compiler{env: env, guards: planGuards(env), cost: s.MaxCost}
	if c.cost == 0 {
		c.cost = DefaultMaxCost
	}
	t := &Transform{routes: slices.Clone(s.Routes)}
	if s.Filter != "" {
		t.filter = c.compile(s.Filter, cel.BoolType, "filter")
	}
	for i, r := range s.FailIf {
		at := []string{"fail_if", "[" + strconv.Itoa(i) + "]"}
		t.rules = append(t.rules, rule{
			when:    c.compile(r.When, cel.BoolType, append(slices.Clip(at), "when")...),
			message: c.compile(r.Message, cel.StringType, append(slices.Clip(at), "message")...),
		})
	}
	for _, field := range slices.Sorted(maps.Keys(s.Map)) {
		p := c.compile(s.Map[field], nil, "map", field)
		t.fields = append(t.fields, mapped{string(appendString(nil, field)) + ":", p})
	}
	if s.Key != "" {
		t.key = c.compile(s.Key, cel.StringType, "key")
	}
	c.route(t, s)
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return t, nil
}

func (c *compiler) fail(line, column int, message string, path ...string) {
	c.faults = append(c.faults, Fault{Path: path, Line: line, Column: column, Message: message})
}

// compile makes a program of one expression, or nil and a fault. want is the
// type of its result, nil for any that JSON has.
func (c *compiler) compile(text string, want *cel.Type, path ...string) *program {
	if strings.TrimSpace(text) == "" {
		c.faults = append(c.faults, Fault{Path: path, Message: "an expression is required", Missing: true})
		return nil
	}
	checked, issues := c.env.Compile(text)
	if err := issues.Err(); err != nil {
		for _, e := range issues.Errors() {
			c.fail(max(e.Location.Line(), 1), max(e.Location.Column(), 0)+1, explain(e.Message), path...)
		}
		return nil
	}
	if got := checked.OutputType(); want != nil && !got.IsExactType(want) && got.Kind() != cel.DynKind {
		c.fail(1, 1, "its result is "+got.String()+", and "+want.String()+" is expected"+hintFor(want), path...)
		return nil
	}
	p := &program{name: name(path), want: want, ast: checked.NativeRep(), cost: c.cost, loops: loops(checked.NativeRep())}
	opts := []cel.ProgramOption{
		cel.CustomDecoratorV2(planMaps), cel.CustomDecoratorV2(c.guards),
		cel.EvalOptions(cel.OptOptimize), cel.CostTracking(costs{}), cel.CostLimit(c.cost),
	}
	if p.loops {
		opts = append(opts, cel.InterruptCheckFrequency(interruptEvery))
	}
	var err error
	if p.prog, err = c.env.Program(checked, opts...); err != nil {
		c.fail(1, 1, explain(err.Error()), path...)
		return nil
	}
	return p
}

// loops says whether an expression goes over lists or maps.
func loops(a *ast.AST) bool {
	found := false
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.ComprehensionKind
	}))
	return found
}

func hintFor(want *cel.Type) string {
	if want == cel.StringType {
		return ": write string(…)"
	}
	return ": compare with something"
}
