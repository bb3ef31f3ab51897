package transform

import (
	"regexp"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

var (
	container = regexp.MustCompile(` \(in container '[^']*'\)`)
	operator  = regexp.MustCompile(`[_!@\-\[][^ ']*_\]?`)
	notByName = regexp.MustCompile(`^unsupported index type '[^']*' in list$`)
	noKey     = regexp.MustCompile(`^no such key: (.*)$`)
)

// explain makes what the compiler says fit for somebody who knows YAML better
// than CEL.
func explain(message string) string {
	message = container.ReplaceAllString(message, "")
	message = operator.ReplaceAllStringFunc(message, func(op string) string {
		if shown, ok := operators.FindReverse(op); ok && shown != "" {
			return shown
		}
		return op
	})
	message = strings.ReplaceAll(message, "\n", " ")
	switch {
	case strings.HasPrefix(message, "undeclared reference"):
		return message + ": there are payload, metadata, id, source, key and created_at; a field is payload.NAME, a text stands in quotes"
	case strings.HasPrefix(message, "Syntax error: mismatched input '<EOF>'"):
		return "the expression ends too early: something is missing here"
	case strings.HasPrefix(message, "found no matching overload"):
		return message + ": check the types, and convert with int(…), double(…) or string(…)"
	}
	return message
}

// reason is why an evaluation failed, in words that name what is missing. node is
// the part of the expression that failed, 0 if that is not known.
func (p *program) reason(err error, node int64, vars *variables) string {
	message := err.Error()
	if m := noKey.FindStringSubmatch(message); m != nil {
		return p.missing(m[1], vars)
	}
	if notByName.MatchString(message) {
		if text := p.named(vars); text != "" {
			return text
		}
	}
	if rest, ok := strings.CutPrefix(message, "no such overload"); ok {
		what := strings.TrimPrefix(rest, ": ")
		if symbol, ok := operators.FindReverse(p.called(node)); ok && symbol != "" {
			what = symbol
		}
		return "the types do not fit " + clip(what) + ": convert one side, with int(…), double(…) or string(…)"
	}
	return clipTo(explain(message), 300)
}

// called is the function that a part of the expression calls.
func (p *program) called(node int64) (name string) {
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == node && e.Kind() == ast.CallKind {
			name = e.AsCall().FunctionName()
		}
	}))
	return name
}

// missing says which field is not there: one that the expression names, that is
// called key, and whose owner does not have it.
func (p *program) missing(key string, vars *variables) string {
	found := ""
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		keys, ok := chain(e)
		if found != "" || !ok || len(keys) < 2 || keys[len(keys)-1] != key {
			return
		}
		owner := strings.Join(keys[:len(keys)-1], ".")
		switch in, ok := vars.at(keys[:len(keys)-1]); in := in.(type) {
		case map[string]any:
			if _, there := in[key]; ok && !there {
				found = owner + "." + key + " is missing: test has(" + owner + "." + key + "), or write " + owner + ".?" + key + ".orValue(…)"
			}
		case map[string]string:
			if _, there := in[key]; ok && !there {
				found = owner + " has no " + strconv.Quote(clip(key)) + ": write " + owner + "[?" + strconv.Quote(clip(key)) + "].orValue(…)"
			}
		default:
			if ok {
				found = owner + " is " + typeName(adapter{}.NativeToValue(in)) + ", and has no field " + strconv.Quote(clip(key))
			}
		}
	}))
	if found == "" {
		return strconv.Quote(clip(key)) + " is missing"
	}
	return found
}

// named says which list is asked for a field by its name; "" if the expression does not
// say which.
func (p *program) named(vars *variables) string {
	found := ""
	ast.PreOrderVisit(p.ast.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		keys, ok := chain(e)
		if found != "" || !ok || len(keys) < 2 {
			return
		}
		last := len(keys) - 1
		if in, ok := vars.at(keys[:last]); ok {
			if _, is := in.([]any); is {
				found = strings.Join(keys[:last], ".") + " is a list, and has no field " + strconv.Quote(clip(keys[last]))
			}
		}
	}))
	return found
}

// at is the value at a path of names.
func (v *variables) at(keys []string) (any, bool) {
	in, ok := v.ResolveName(keys[0])
	for _, k := range keys[1:] {
		object, is := in.(map[string]any)
		if !is {
			return nil, false
		}
		if in, ok = object[k]; !ok {
			return nil, false
		}
	}
	return in, ok
}

// chain is payload.a.b as its names; not ok for anything else.
func chain(e ast.Expr) (keys []string, ok bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return []string{e.AsIdent()}, true
	case ast.SelectKind:
		keys, ok = chain(e.AsSelect().Operand())
		return append(keys, e.AsSelect().FieldName()), ok
	case ast.CallKind:
		args := e.AsCall().Args()
		if e.AsCall().FunctionName() != operators.Index || len(args) != 2 || args[1].Kind() != ast.LiteralKind {
			return nil, false
		}
		if text, is := args[1].AsLiteral().(types.String); is {
			keys, ok = chain(args[0])
			return append(keys, string(text)), ok
		}
	}
	return nil, false
}

func clipTo(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
