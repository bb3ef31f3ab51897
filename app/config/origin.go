package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// OriginKind is what gave a value.
type OriginKind string

// The kinds of an Origin, the weakest first.
const (
	FromDefault  OriginKind = "default"
	FromFile     OriginKind = "file"
	FromVariable OriginKind = "variable"
	FromFlag     OriginKind = "flag"
)

// Origin is where a value comes from.
type Origin struct {
	Kind OriginKind `json:"kind"`
	// File, Line and Column are the place in the file, for FromFile.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Name is the variable or the flag.
	Name string `json:"name,omitempty"`
	// SecretFile is the file that holds it, which what stands there only names.
	SecretFile string `json:"secret_file,omitempty"`
}

// IsDefault says that nobody gave it.
func (o Origin) IsDefault() bool { return o.Kind == FromDefault || o.Kind == "" }

// String is default, ergon.yaml:4, $ERGON_APP or --admin, and the file of a secret.
func (o Origin) String() string {
	s := string(FromDefault)
	switch o.Kind {
	case FromFile:
		s = fmt.Sprintf("%s:%d", o.File, o.Line)
	case FromVariable:
		s = "$" + o.Name
	case FromFlag:
		s = o.Name
	}
	if o.SecretFile != "" {
		s += ", read from " + o.SecretFile
	}
	return s
}

// Value is one value of a configuration.
type Value struct {
	// Path is the keys that lead there.
	Path string
	// Value is text, a number, true or false, or a list or map of these; a duration is
	// text. A secret is hidden.
	Value  any
	Origin Origin

	keys path
}

// MarshalJSON writes the path, the value and the origin.
func (v Value) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Path   string `json:"path"`
		Value  any    `json:"value"`
		Origin Origin `json:"origin"`
	}{v.Path, v.Value, v.Origin})
}

// Values is the whole effective configuration: whatever is said, and what is in force
// where nothing is, in the order of the documentation. Secrets are hidden. A key that
// says nothing by default, such as a path, is left out.
func (r *Resolved) Values() []Value {
	c := r.Config.redacted()
	var out []Value
	add := func(p path, value any, o Origin) {
		out = append(out, Value{Path: p.String(), Value: value, Origin: o, keys: slices.Clone(p)})
	}
	walk(reflect.ValueOf(c), nil, func(p path, v reflect.Value) {
		o := r.origin(p)
		switch {
		case typeName(v.Type()) == typeNames:
			names := v.Interface().(map[string]string)
			for _, name := range slices.Sorted(maps.Keys(names)) {
				add(p.key(name), names[name], r.origin(p.key(name)))
			}
			return
		case (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil():
			return
		case !v.IsZero():
			add(p, r.shown(p, v), o)
			return
		}
		if value := c.inForce(p); value != "" {
			add(p, scalarValue(value, v), o)
			return
		}
		if p.String() == "telemetry.sensitive" {
			add(p, sensitive(), o)
			return
		}
		switch v.Kind() {
		case reflect.String, reflect.Slice, reflect.Map:
			if !o.IsDefault() {
				add(p, r.shown(p, v), o)
			}
		default:
			add(p, r.shown(p, v), o)
		}
	})
	return out
}

// shown is a value as it may be shown.
func (r *Resolved) shown(p path, v reflect.Value) any {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch value := v.Interface().(type) {
	case []string:
		return append([]string{}, value...)
	case map[string]any, []any:
		return hideIn(value)
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return plain(encode(v))
}

// plain is what encode makes without its order of keys and its escapes.
func plain(value any) any {
	switch v := value.(type) {
	case yaml.MapSlice:
		out := make(map[string]any, len(v))
		for _, item := range v {
			out[fmt.Sprint(item.Key)] = plain(item.Value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case string:
		return strings.ReplaceAll(v, "$${", "${")
	}
	return value
}

// secretName is what the name of a secret in free-form settings looks like.
var secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|api[_-]?key|authorization`)

// hideIn hides the secrets of free-form settings, whose names say what they are.
func hideIn(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, below := range v {
			if out[k] = hideIn(below); secretName.MatchString(k) {
				out[k] = hidden
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = hideIn(v[i])
		}
		return out
	case string:
		return address.ReplaceAllString(v, "://"+hidden+"@")
	}
	return value
}

// origin is where the value at a path comes from.
func (r *Resolved) origin(p path) Origin {
	n := r.root.find(p)
	if n == nil || n.kind == nullKind && (!n.filled || n.text == "") {
		if len(p) == 4 && p[0] == "tasks" && p[2] == "dead_letters" { // a task's are as in the file's
			return r.origin(path{"dead_letters", p[3]})
		}
		return Origin{Kind: FromDefault}
	}
	return r.from(r.root.locate(p, n.at))
}

func (r *Resolved) from(at place) Origin {
	o := Origin{SecretFile: at.from}
	switch {
	case at.env != "":
		o.Kind, o.Name = FromVariable, at.env
	case at.flag != "":
		o.Kind, o.Name = FromFlag, at.flag
	case at.line > 0:
		o.Kind, o.File, o.Line, o.Column = FromFile, r.file, at.line, at.column
	default:
		o.Kind = FromDefault
	}
	return o
}

// scalarValue is what is in force as the value's own type has it.
func scalarValue(text string, v reflect.Value) any {
	if n, err := strconv.Atoi(text); err == nil && typeName(v.Type()) == typeInt {
		return n
	}
	return text
}
