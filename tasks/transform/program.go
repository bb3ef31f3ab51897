package transform

import (
	"context"
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/ergon-framework/ergon"
)

// program is one compiled expression.
type program struct {
	name  string // of the expression, in errors
	prog  cel.Program
	want  *cel.Type // of the result
	ast   *ast.AST
	cost  uint64
	loops bool
}

// eval evaluates the expression. Only one that loops watches ctx: a context that
// somebody watches costs more than most expressions.
func (p *program) eval(ctx context.Context, vars *variables) (v ref.Val, err error) {
	if p.loops {
		v, _, err = p.prog.ContextEval(ctx, vars)
	} else {
		v, _, err = p.prog.Eval(vars)
	}
	if err != nil {
		return nil, p.failure(ctx, err, vars)
	}
	return v, nil
}

func (p *program) boolean(ctx context.Context, vars *variables) (bool, error) {
	v, err := p.eval(ctx, vars)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, p.wrong(v)
	}
	return bool(b), nil
}

func (p *program) text(ctx context.Context, vars *variables) (string, error) {
	v, err := p.eval(ctx, vars)
	if err != nil {
		return "", err
	}
	s, ok := v.(types.String)
	if !ok {
		return "", p.wrong(v)
	}
	return string(s), nil
}

func (p *program) wrong(v ref.Val) error {
	return ergon.Business("%s: its result is %s, and a %s is expected%s", p.name, typeName(v), p.want, hintFor(p.want))
}

// failure says why an evaluation failed. It is BUSINESS: the same data would fail
// again. Only an attempt that was ended may do better the next time.
func (p *program) failure(ctx context.Context, err error, vars *variables) error {
	if errors.Is(err, interpreter.InterruptError{}) {
		return fmt.Errorf("%s: it was interrupted: %w", p.name, context.Cause(ctx))
	}
	if cancelled, ok := errors.AsType[interpreter.EvalCancelledError](err); ok && cancelled.Cause == interpreter.CostLimitExceeded {
		return ergon.Business("%s: it costs more than %d with this payload, and was ended: make it simpler, or raise max_cost", p.name, p.cost)
	}
	at, node := "", int64(0)
	if e, ok := errors.AsType[*types.Err](err); ok && e.NodeID() > 0 {
		node = e.NodeID()
		if l := p.ast.SourceInfo().GetStartLocation(node); l.Line() > 0 {
			at = " (at " + place(l.Line(), l.Column()+1) + ")"
		}
	}
	return ergon.Business("%s: %s%s", p.name, p.reason(err, node, vars), at)
}
