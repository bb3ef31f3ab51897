package transform

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// costs says what a call costs by the values that it was given. What CEL itself
// charges goes by the overload, and where a payload is involved that is not known
// before: it would count one for reading a megabyte.
type costs struct{}

// little is a cost that is left to CEL, to spare the common call an allocation.
const little = 16

// CallCost implements cost.ActualCostEstimator.
func (costs) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	n := 0
	switch function {
	case operators.Index, operators.OptIndex, operators.OptSelect, "orValue", "or", "value", "hasValue", "optional.of":
		return nil // they pass on what is there
	case operators.Equals, operators.NotEquals:
		if len(args) == 2 {
			n = min(depth(args[0]), depth(args[1])) - 1
		}
	case operators.In:
		if len(args) == 2 {
			n = weight(args[1])
			if _, many := args[0].(traits.Sizer); many && n > 0 {
				n += min(n*depth(args[0]), depth(args[1]))
			}
		}
	case operators.Add, "size":
		n = texts(args) + texts([]ref.Val{result}) // of lists they read nothing
	default:
		for _, v := range args {
			n += weight(v)
		}
		n += weight(result)
	}
	if n < little {
		return nil
	}
	c := uint64(n)
	return &c
}

// weight is what going over a value costs: a tenth of a text's length, or the
// number of items.
func weight(v ref.Val) int {
	switch v := v.(type) {
	case types.String:
		return len(v) / 10
	case types.Bytes:
		return len(v) / 10
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok {
			return int(n)
		}
	}
	return 0
}

func texts(values []ref.Val) (n int) {
	for _, v := range values {
		switch v := v.(type) {
		case types.String:
			n += len(v) / 10
		case types.Bytes:
			n += len(v) / 10
		}
	}
	return n
}

// depth is what going over a value and all that is in it costs. Values that an
// expression made may hold one thing many times, so counting ends at some point.
func depth(v any) int {
	left := maxDepth
	count(v, &left)
	return maxDepth - left
}

// maxDepth is more than any bound on the cost that makes sense.
const maxDepth = 4 << 20

func count(v any, left *int) {
	if *left <= 0 {
		return
	}
	*left--
	switch v := v.(type) {
	case string:
		*left -= len(v) / 10
	case types.String:
		*left -= len(v) / 10
	case types.Bytes:
		*left -= len(v) / 10
	case map[string]any:
		for _, item := range v {
			count(item, left)
		}
	case []any:
		for _, item := range v {
			count(item, left)
		}
	case traits.Mapper:
		if native, ok := v.Value().(map[string]any); ok {
			count(native, left)
			return
		}
		for it := v.Iterator(); it.HasNext() == types.True && *left > 0; {
			count(v.Get(it.Next()), left)
		}
	case traits.Lister:
		if native, ok := v.Value().([]any); ok {
			count(native, left)
			return
		}
		for it := v.Iterator(); it.HasNext() == types.True && *left > 0; {
			count(it.Next(), left)
		}
	}
}
