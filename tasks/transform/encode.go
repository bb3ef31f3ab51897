package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// appendValue appends a value of CEL as JSON. What comes of the payload as it is
// keeps its numbers as they are written; objects have their keys in order.
func appendValue(to []byte, v ref.Val) ([]byte, error) {
	if len(to) > maxResult {
		return nil, fmt.Errorf("what is sent would be longer than %d bytes", maxResult)
	}
	switch v := v.(type) {
	case types.String:
		return appendString(to, string(v)), nil
	case types.Int:
		return strconv.AppendInt(to, int64(v), 10), nil
	case types.Uint:
		return strconv.AppendUint(to, uint64(v), 10), nil
	case types.Bool:
		return strconv.AppendBool(to, bool(v)), nil
	case types.Double:
		return appendDouble(to, float64(v))
	case types.Null:
		return append(to, "null"...), nil
	case types.Bytes:
		return appendString(to, base64.StdEncoding.EncodeToString(v)), nil
	case types.Timestamp:
		return appendString(to, v.UTC().Format(time.RFC3339Nano)), nil
	case types.Duration:
		text, ok := v.ConvertToType(types.StringType).(types.String)
		if !ok {
			return nil, fmt.Errorf("a duration cannot be written as text")
		}
		return appendString(to, string(text)), nil
	case traits.Mapper:
		return appendMap(to, v)
	case traits.Lister:
		return appendList(to, v)
	}
	return nil, fmt.Errorf("its result is %s, which JSON does not have: make a text of it", typeName(v))
}

func appendMap(to []byte, m traits.Mapper) ([]byte, error) {
	if native, ok := m.Value().(map[string]any); ok {
		return appendNative(to, native), nil
	}
	keys := (ordered{m}).keys()
	to = append(to, '{')
	for i, k := range keys {
		name, ok := k.(types.String)
		if !ok {
			return nil, fmt.Errorf("a map has a key that is %s: an object of JSON has texts, write string(…)", typeName(k))
		}
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, string(name)), ':')
		var err error
		if to, err = appendValue(to, m.Get(k)); err != nil {
			return nil, err
		}
	}
	return append(to, '}'), nil
}

func appendList(to []byte, l traits.Lister) ([]byte, error) {
	if native, ok := l.Value().([]any); ok {
		return appendNative(to, native), nil
	}
	to = append(to, '[')
	first := true
	for it := l.Iterator(); it.HasNext() == types.True; first = false {
		if !first {
			to = append(to, ',')
		}
		var err error
		if to, err = appendValue(to, it.Next()); err != nil {
			return nil, err
		}
	}
	return append(to, ']'), nil
}

// appendNative appends what encoding/json decoded.
func appendNative(to []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(to, v)
	case json.Number:
		return append(to, v...)
	case bool:
		return strconv.AppendBool(to, v)
	case map[string]any:
		to = append(to, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendNative(append(appendString(to, k), ':'), v[k])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, item := range v {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendNative(to, item)
		}
		return append(to, ']')
	}
	return append(to, "null"...)
}

// appendDouble writes a fraction even where there is none, so that whoever reads
// it gets a double again.
func appendDouble(to []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("its result is %v, which JSON does not have", f)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	text := strconv.FormatFloat(f, format, -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return append(to, text...), nil
}

func appendString(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return appendEscaped(to, s)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

func appendEscaped(to []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string marshals
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// typeName names a value's type as somebody who writes expressions knows it.
func typeName(v ref.Val) string {
	switch name := v.Type().TypeName(); name {
	case "null_type":
		return "null"
	case "google.protobuf.Timestamp":
		return "a timestamp"
	case "google.protobuf.Duration":
		return "a duration"
	case "optional_type":
		return "an optional value"
	case "int":
		return "an int"
	default:
		return "a " + name
	}
}
