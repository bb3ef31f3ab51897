package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services/spec"
)

// The document is walked together with the structs, because the decoder of the
// YAML package stops at the first fault, and reads 2.5 as 2 where an integer is
// expected.

// field is one key of a group.
type field struct {
	key   string
	index []int // as reflect.Value.FieldByIndex takes it
}

// fieldsOf lists the keys of a struct in the order of their fields, those of an
// inlined struct among them.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for _, below := range fieldsOf(f.Type) {
				out = append(out, field{below.key, append([]int{i}, below.index...)})
			}
		case key == "-" || !f.IsExported():
		case t == reflect.TypeFor[bus.Stream]() && key == "name": // it is the key that the stream stands under
		default:
			out = append(out, field{key, []int{i}})
		}
	}
	return out
}

// decode reads a node into a value. What is left out, and what was at fault, stays
// as it is in the value.
func (l *loader) decode(n *node, p path, into reflect.Value) {
	if n.kind == badKind || n.kind == nullKind && !n.blank(into) {
		return
	}
	switch at := into.Addr().Interface().(type) {
	case *policy.Consumer:
		overlay(l, n, p, at, policy.ConsumerKeys)
		return
	case *policy.Producer:
		overlay(l, n, p, at, policy.ProducerKeys)
		return
	case *policy.Duration:
		l.duration(n, p, func(d time.Duration) { *at = policy.Duration(d) })
		return
	case *time.Duration:
		l.duration(n, p, func(d time.Duration) { *at = d })
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		l.fields(n, p, into)
	case reflect.Pointer:
		fresh := reflect.New(into.Type().Elem())
		blank(fresh.Interface())
		l.decode(n, p, fresh.Elem())
		into.Set(fresh)
	case reflect.Map:
		l.named(n, p, into)
	case reflect.Slice:
		l.list(n, p, into)
	case reflect.String:
		switch {
		case n.kind == listKind || n.kind == groupKind:
			l.wrong(n, p, "text")
		case n.kind == boolKind && !n.filled:
			l.fail(n.at, p, "%s is not text: put it in quotes if it is meant so", n.text)
		default:
			into.SetString(n.text)
		}
	case reflect.Bool:
		if n.kind != boolKind {
			l.wrong(n, p, "true or false")
			return
		}
		into.SetBool(strings.EqualFold(n.text, "true"))
	case reflect.Float64:
		if n.kind != intKind && n.kind != floatKind {
			l.wrong(n, p, "a number")
			return
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
		if err != nil {
			l.fail(n.at, p, "%s is not a number", quote(n.text))
			return
		}
		into.SetFloat(f)
	default:
		l.number(n, p, into)
	}
}

// blank says whether n is a variable that held nothing, or the word null, and text
// is expected: then that is the text.
func (n *node) blank(into reflect.Value) bool {
	return n.filled && n.text != "" && into.Kind() == reflect.String
}

// wrong reports a value of the wrong kind.
func (l *loader) wrong(n *node, p path, want string) {
	switch n.kind {
	case listKind, groupKind:
		l.fail(l.placeOf(n, p), p, "%s is expected, and this is %s", want, n.kind)
	default:
		if strings.HasPrefix(want, "a group") { // the value may be all that it was to keep, secrets among it
			l.fail(n.at, p, "%s is expected, and this is a value", want)
			return
		}
		l.fail(n.at, p, "%s is not %s", quote(n.text), want)
	}
}

// placeOf is where to point for a value that may span lines: at its key.
func (l *loader) placeOf(n *node, p path) place {
	if at := l.locate(p); at != (place{}) {
		return at
	}
	return n.at
}

func (l *loader) duration(n *node, p path, set func(time.Duration)) {
	if n.kind == listKind || n.kind == groupKind {
		l.wrong(n, p, "a duration")
		return
	}
	d, err := policy.ParseDuration(n.text)
	if err != nil {
		l.fail(n.at, p, "%v", err)
		return
	}
	set(d.D())
}

func (l *loader) number(n *node, p path, into reflect.Value) {
	if n.kind != intKind {
		l.wrong(n, p, "a whole number")
		return
	}
	i, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 0, into.Type().Bits())
	if err != nil {
		l.fail(n.at, p, "%s is too large", quote(n.text))
		return
	}
	into.SetInt(i)
}

func (l *loader) list(n *node, p path, into reflect.Value) {
	if n.kind != listKind {
		want := "a list"
		if n.kind == groupKind {
			l.wrong(n, p, want)
			return
		}
		if isSecret(p) || into.Type().Elem().Kind() == reflect.Struct { // then it may be one, too
			l.fail(n.at, p, "a list is expected, and this is a value: put it in [ ]")
			return
		}
		l.fail(n.at, p, "%s is not a list: put it in [ ]", quote(n.text))
		return
	}
	out := reflect.MakeSlice(into.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		if item.kind == nullKind && !item.blank(out.Index(i)) {
			l.fail(item.at, p.item(i), "the list has an empty item here: remove it, or say what it is")
			continue
		}
		l.decode(item, p.item(i), out.Index(i))
	}
	into.Set(out)
}

// fields reads a group into a struct. Its order is the struct's and not the file's:
// what tasks inherit is read before them, wherever it stands.
func (l *loader) fields(n *node, p path, into reflect.Value) {
	known := fieldsOf(into.Type())
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	if n.kind != groupKind {
		l.wrong(n, p, "a group of keys ("+strings.Join(keys, ", ")+")")
		return
	}
	for _, e := range n.entries {
		if !slices.Contains(keys, e.name) {
			l.unknownKey(e, p, keys)
		}
	}
	for _, f := range known {
		if value := n.get(f.key); value != nil {
			l.decode(value, p.key(f.key), into.FieldByIndex(f.index))
		}
	}
}

func (l *loader) unknownKey(e entry, p path, keys []string) {
	l.unknown = append(l.unknown, p)
	near := policy.Nearest(e.name, withFileKeys(e.name, p, keys))
	if near == "" {
		l.fail(e.at, p.key(e.name), "unknown key %s, the keys here are %s", quote(e.name), strings.Join(keys, ", "))
		return
	}
	if slices.Contains(secretKeys, strings.TrimSuffix(near, fileKey)) || near == "headers" {
		l.shown().hideAfter(e.at.line, e.at.column)
	}
	l.fail(e.at, p.key(e.name), "unknown key %s, did you mean %q?", quote(e.name), near)
}

// withFileKeys is the keys of a group and those that name the file of a secret of it,
// first where the mistyped one seems to mean such.
func withFileKeys(name string, p path, keys []string) []string {
	var files []string
	for _, key := range keys {
		if isSecret(p.key(key)) {
			files = append(files, key+fileKey)
		}
	}
	if strings.Contains(strings.ToLower(name), "f") {
		return append(files, keys...)
	}
	return keys
}

// named reads a group whose keys are names of the user's.
func (l *loader) named(n *node, p path, into reflect.Value) {
	if n.kind != groupKind {
		l.wrong(n, p, "a group of names")
		return
	}
	out := reflect.MakeMapWithSize(into.Type(), len(n.entries))
	for _, e := range n.entries {
		if strings.Contains(e.name, "${") {
			l.fail(e.at, p.key(e.name), "a variable stands for a value, and this is a key: write the name out")
			continue
		}
		value := reflect.New(into.Type().Elem()).Elem()
		switch of := value.Addr().Interface().(type) {
		case *Task:
			*of = l.blankTask()
		case *spec.Service:
			*of = blankService(e.value)
		}
		l.decode(e.value, p.key(e.name), value)
		out.SetMapIndex(reflect.ValueOf(e.name), value)
	}
	into.Set(out)
}
