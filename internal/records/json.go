package records

import (
	"encoding/json"
	"errors"
	"fmt"
)

// jsonSpace is the white space of JSON within one line.
const jsonSpace = " \t\r"

// jsonFault says why value is not one JSON value, and at which byte of its line,
// where it stands behind indent bytes of space.
func jsonFault(value []byte, indent int) string {
	var raw json.RawMessage
	err := json.Unmarshal(value, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("not a JSON value: %v at byte %d", syntax, int64(indent)+syntax.Offset)
	}
	return "not a JSON value"
}

// jsonFields looks up the top-level fields of a JSON object. Of a name that is
// there twice it takes the last one, as encoding/json does.
func jsonFields(data []byte) fieldFunc {
	var fields map[string]json.RawMessage
	var err error
	return func(name string) (string, error) {
		if fields == nil && err == nil {
			err = json.Unmarshal(data, &fields)
		}
		if err != nil || fields == nil {
			return "", fmt.Errorf("field %q: the record is not a JSON object", name)
		}
		value, ok := fields[name]
		if !ok {
			return "", fmt.Errorf("field %q is missing", name)
		}
		return scalar(name, value)
	}
}

// scalar is the text of a string, a number or a boolean. A number stays as it
// is written.
func scalar(name string, value []byte) (string, error) {
	kind := "null"
	switch value[0] {
	case '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err
	case '{':
		kind = "an object"
	case '[':
		kind = "an array"
	case 'n':
	default:
		return string(value), nil
	}
	return "", fmt.Errorf("field %q is %s: an ID takes a string, a number or a boolean", name, kind)
}
