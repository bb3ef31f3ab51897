package transform

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/stdlib"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// mostExact is the first whole number that a double may not hold.
const mostExact = 1 << 53

// operation is one that takes an int and a double, unlike CEL's own: JSON has one
// kind of number, and whoever writes 2.5 writes 2 for two.
type operation struct {
	symbol, name string
	trait        int
	apply        func(a, b ref.Val) ref.Val
}

func operations() []operation {
	return []operation{
		{operators.Add, "add", traits.AdderType, func(a, b ref.Val) ref.Val { return a.(traits.Adder).Add(b) }},
		{operators.Subtract, "subtract", traits.SubtractorType, func(a, b ref.Val) ref.Val { return a.(traits.Subtractor).Subtract(b) }},
		{operators.Multiply, "multiply", traits.MultiplierType, func(a, b ref.Val) ref.Val { return a.(traits.Multiplier).Multiply(b) }},
		{operators.Divide, "divide", traits.DividerType, func(a, b ref.Val) ref.Val { return a.(traits.Divider).Divide(b) }},
	}
}

// standard is CEL's standard library, whose arithmetic also takes an int or uint
// with a double: the result is a double. An operator's functions cannot be added
// to, so the four are left out and declared anew.
func standard() []cel.EnvOption {
	subset := env.NewLibrarySubset()
	all := operations()
	var opts []cel.EnvOption
	for _, f := range stdlib.Functions() {
		i := slices.IndexFunc(all, func(o operation) bool { return o.symbol == f.Name() })
		if i < 0 {
			continue
		}
		op := all[i]
		subset.AddExcludedFunctions(env.NewFunction(op.symbol))
		var overloads []cel.FunctionOpt
		for _, o := range f.OverloadDecls() {
			overloads = append(overloads, decls.Overload(o.ID(), o.ArgTypes(), o.ResultType()))
		}
		for _, whole := range []*cel.Type{cel.IntType, cel.UintType} {
			id := op.name + "_" + whole.String() + "_double"
			overloads = append(overloads,
				cel.Overload(id, []*cel.Type{whole, cel.DoubleType}, cel.DoubleType),
				cel.Overload(id+"_reversed", []*cel.Type{cel.DoubleType, whole}, cel.DoubleType))
		}
		overloads = append(overloads, cel.SingletonBinaryBinding(op.mixed, op.trait))
		opts = append(opts, cel.Function(op.symbol, overloads...))
	}
	return append([]cel.EnvOption{cel.StdLib(cel.StdLibSubset(subset))}, opts...)
}

func (o operation) mixed(a, b ref.Val) ref.Val {
	_, isDouble := a.(types.Double)
	_, withDouble := b.(types.Double)
	switch {
	case isDouble && !withDouble:
		b = double(b)
	case withDouble && !isDouble:
		a = double(a)
	}
	if types.IsError(a) {
		return a
	}
	if types.IsError(b) {
		return b
	}
	return o.apply(a, b)
}

// double is a whole number as a double, exactly or not at all. Other values stay.
func double(v ref.Val) ref.Val {
	switch n := v.(type) {
	case types.Int:
		if n < -mostExact || n > mostExact {
			return types.NewErr("%d is too large to be a double exactly: write double(…) if it may be rounded", int64(n))
		}
		return types.Double(n)
	case types.Uint:
		if n > mostExact {
			return types.NewErr("%d is too large to be a double exactly: write double(…) if it may be rounded", uint64(n))
		}
		return types.Double(n)
	}
	return v
}
