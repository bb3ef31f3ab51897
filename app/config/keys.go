package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/spec"
)

// Key is one key of the file that holds a value, and what is known of it.
type Key struct {
	// Path leads there, with * for each name of the user's: tasks.*.routes.*.jetstream.stream.
	Path string
	// Type is text, true or false, whole number, number, duration, list of text, list of
	// whole numbers, text by name, or free-form.
	Type string
	// Default is what it is where nothing says so, as it is written in the file, or in
	// words where it depends on something. Empty: nothing.
	Default string
	// Words are the only values it takes. Empty: it is not a word of a few.
	Words []string
	// Min and Max bound a number. Empty: no bound of its own.
	Min, Max string
	// Required says that what it belongs to cannot be without it.
	Required bool
	// Secret says that its value is never shown, and that it can be read from a file:
	// the same key with _file behind it names one.
	Secret bool
	// Variable is the environment variable that wins over it, with <TASK> for the name
	// of a task and <SERVICE> for that of a service. Empty: there is none, it is of a list or below a name.
	Variable string
}

// Keys lists all that the file can say, in the order of the documentation.
func Keys() []Key {
	var out []Key
	walkKeys(func(p path, v reflect.Value) {
		name := strings.Join(p, ".")
		f := facts[name]
		k := Key{
			Path: name, Type: typeName(v.Type()), Default: f.words, Words: f.oneOf, Min: f.least, Max: f.most,
			Required: f.required, Secret: isSecret(p), Variable: variableOf(p, v.Type()),
		}
		if k.Default == "" {
			k.Default = f.value
		}
		if k.Default == "" && !f.required {
			k.Default = text(v)
		}
		out = append(out, k)
	})
	return out
}

// anyName stands for a name of the user's in the path of a Key.
const anyName = "*"

// walkKeys visits every key with its default.
func walkKeys(visit func(path, reflect.Value)) {
	sample := Default()
	sample.Streams = map[string]bus.Stream{anyName: {}}
	task := (&loader{cfg: &sample}).blankTask()
	task.Source.JetStream = &JetStreamSource{}
	task.Source.HTTP = &HTTPSource{Records: &Records{}}
	blank(task.Source.HTTP)
	blank(task.Source.HTTP.Records)
	task.Source.HTTP.Routes = []http.Route{{Auth: http.Auth{
		Bearer: []http.Bearer{{}}, Signature: &http.Signature{}, Certificate: &http.Certificate{},
	}}}
	task.Routes = map[string]Route{anyName: {JetStream: &JetStreamRoute{}, HTTP: &http.SinkOptions{}}}
	sample.Tasks = map[string]Task{anyName: task}
	kv, http, sql, llm := spec.DefaultKV(), spec.DefaultHTTP(), spec.DefaultSQL(), spec.DefaultLLM()
	sample.Services = map[string]spec.Service{anyName: {KV: &kv, HTTP: &http, SQL: &sql, LLM: &llm, Policy: spec.DefaultPolicy("")}}
	var item func(p path, v reflect.Value)
	item = func(p path, v reflect.Value) {
		if !isGroups(v.Type()) {
			visit(p, v)
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), p.key(anyName), item)
		}
	}
	walk(reflect.ValueOf(sample), nil, item)
}

// isGroups says whether a type is a list of groups. Its items are keys of the file; as a
// value it is one.
func isGroups(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// walk visits every value of a configuration that is not a group, in the order of
// the documentation, names in alphabetical order.
func walk(v reflect.Value, p path, visit func(path, reflect.Value)) {
	switch t := v.Type(); {
	case t.Kind() == reflect.Struct:
		for _, f := range fieldsOf(t) {
			walk(v.FieldByIndex(f.index), p.key(f.key), visit)
		}
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		if !v.IsNil() {
			walk(v.Elem(), p, visit)
		}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		below := map[string]reflect.Value{}
		for _, k := range v.MapKeys() {
			below[k.String()] = v.MapIndex(k)
		}
		for _, name := range slices.Sorted(maps.Keys(below)) {
			walk(below[name], p.key(name), visit)
		}
	default:
		visit(p, v)
	}
}

// The names of types, as the documentation has them.
const (
	typeText     = "text"
	typeBool     = "true or false"
	typeInt      = "whole number"
	typeNumber   = "number"
	typeDuration = "duration"
	typeList     = "list of text"
	typeInts     = "list of whole numbers"
	typeNames    = "text by name"
	typeFree     = "free-form"
)

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[policy.Duration]() || t == reflect.TypeFor[time.Duration]() {
		return typeDuration
	}
	switch t.Kind() {
	case reflect.String:
		return typeText
	case reflect.Bool:
		return typeBool
	case reflect.Float64:
		return typeNumber
	case reflect.Int, reflect.Int64:
		return typeInt
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return typeList
		}
		if t.Elem().Kind() == reflect.Int {
			return typeInts
		}
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return typeNames
		}
	}
	return typeFree
}

// pattern is a path with * for the names of the user's.
func (p path) pattern() string {
	q := slices.Clone(p)
	if len(q) > 1 && (q[0] == "streams" || q.named()) {
		q[1] = anyName
	}
	if len(q) > 3 && q[0] == "tasks" && q[2] == "routes" {
		q[3] = anyName
	}
	for i, key := range q {
		if strings.HasPrefix(key, "[") && strings.HasSuffix(key, "]") {
			q[i] = anyName
		}
	}
	return strings.Join(q, ".")
}
