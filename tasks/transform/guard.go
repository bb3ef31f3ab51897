package transform

import (
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// maxResult is how many bytes a text that is made, and what is sent, may have: no
// server takes as much in one message by default.
const maxResult = 8 << 20

// maxRange is how long a list lists.range may make: it is made before its cost is
// known.
const maxRange = 10_000

// guards say how long the result of a function would be, or how much it would
// compare. The cost of a call is known when it has been made, and two texts of a
// megabyte are enough to make one of these ask for more memory than there is.
func guards() map[string]func(args []ref.Val) int {
	return map[string]func(args []ref.Val) int{
		"replace": replaced, "join": joined,
		"sets.contains": compared, "sets.equivalent": compared, "sets.intersects": compared, "distinct": compared,
	}
}

// planGuards puts the guards before the functions.
func planGuards(env *cel.Env) interpreter.InterpretableDecoratorV2 {
	all, declared := guards(), env.Functions()
	return func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		call, ok := i.(interpreter.InterpretableCall)
		if !ok || all[call.Function()] == nil {
			return i, nil
		}
		overloads, err := declared[call.Function()].Bindings()
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(overloads, func(o *functions.Overload) bool { return o.Operator == call.OverloadID() })
		if at < 0 {
			return i, nil
		}
		impl, size := overloads[at], all[call.Function()]
		return interpreter.NewCall(i.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
			if size(args) > maxResult {
				return types.NewErr("%s would take too much: more than %d bytes, or as many comparisons", call.Function(), maxResult)
			}
			return apply(impl, args)
		}), nil
	}
}

func apply(f *functions.Overload, args []ref.Val) ref.Val {
	switch {
	case f.Function != nil:
		return f.Function(args...)
	case f.Unary != nil && len(args) == 1:
		return f.Unary(args[0])
	case f.Binary != nil && len(args) == 2:
		return f.Binary(args[0], args[1])
	}
	return types.NoSuchOverloadErr()
}

// replaced is the length of args[0].replace(args[1], args[2], …).
func replaced(args []ref.Val) int {
	if len(args) < 3 {
		return 0
	}
	in, _ := args[0].(types.String)
	old, _ := args[1].(types.String)
	by, _ := args[2].(types.String)
	n := utf8.RuneCountInString(string(in)) + 1
	if old != "" {
		n = strings.Count(string(in), string(old))
	}
	return len(in) + n*len(by)
}

// joined is the length of args[0].join(args[1]).
func joined(args []ref.Val) int {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return 0
	}
	between := 0
	if len(args) > 1 {
		separator, _ := args[1].(types.String)
		between = len(separator)
	}
	length := 0
	for it := list.Iterator(); it.HasNext() == types.True && length <= maxResult; {
		item, _ := it.Next().(types.String)
		length += len(item) + between
	}
	return length
}

// compared is how much of the items is held against each other.
func compared(args []ref.Val) int {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return 0
	}
	n, _ := list.Size().(types.Int)
	return int(n) * depth(args[len(args)-1])
}
