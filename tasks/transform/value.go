package transform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// adapter shows CEL what a payload holds. The payload is what encoding/json
// makes of it, its numbers as they are written.
type adapter struct{}

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case nil:
		return types.NullValue
	case json.Number:
		return number(string(v))
	case map[string]any:
		return ordered{types.NewStringInterfaceMap(a, v)}
	case map[string]string:
		return ordered{types.NewStringStringMap(a, v)}
	case []any:
		return types.NewDynamicList(a, v)
	}
	return types.DefaultTypeAdapter.NativeToValue(value)
}

// number reads a JSON number, exactly or not at all.
func number(text string) ref.Val {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return types.Uint(u)
		}
		return types.NewErr("the number %s does not fit into 64 bits: send it as text, or pass on whole the object that it is in", clip(text))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return types.NewErr("the number %s does not fit into a double: send it as text", clip(text))
	}
	if significant(text) != significant(strconv.FormatFloat(f, 'e', -1, 64)) {
		return types.NewErr("the number %s has more digits than a double holds: send it as text, or pass on whole the object that it is in", clip(text))
	}
	return types.Double(f)
}

// significant is the digits of a number, without the zeros at both ends. Two
// texts of one double that have the same are the same number: their exponents
// differ by no more than a double is precise.
func significant(text string) string {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		text = text[:i]
	}
	return strings.Trim(strings.Replace(strings.TrimPrefix(text, "-"), ".", "", 1), "0")
}

// ordered is a map that iterates in the order of its keys, whatever it is made
// of. Nothing but the iteration is its own.
type ordered struct{ traits.Mapper }

// inOrder makes a map iterate in order, and leaves other values alone.
func inOrder(v ref.Val) ref.Val {
	m, ok := v.(traits.Mapper)
	if _, is := v.(ordered); !ok || is {
		return v
	}
	return ordered{m}
}

// Iterator implements traits.Iterable.
func (o ordered) Iterator() traits.Iterator {
	return types.NewRefValList(adapter{}, o.keys()).Iterator()
}

// keys are sorted: numbers by value, then texts, then the rest by how they are
// written.
func (o ordered) keys() []ref.Val {
	var keys []ref.Val
	for it := o.Mapper.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		if c, ok := a.(traits.Comparer); ok {
			if order, ok := c.Compare(b).(types.Int); ok {
				return int(order)
			}
		}
		return strings.Compare(fmt.Sprint(a.Type(), a.Value()), fmt.Sprint(b.Type(), b.Value()))
	})
	return keys
}

// clip cuts a text of the payload that goes into an error.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
