package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// Every field of what a file is read into has a key, and a comment that says what
// it is and what is its default or whether it is required.
func TestEveryKeyIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	types := 0
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			of := spec.(*ast.TypeSpec)
			fields, ok := of.Type.(*ast.StructType)
			if !ok {
				continue
			}
			types++
			require.NotEmpty(t, general.Doc.Text(), of.Name.Name)
			for _, f := range fields.Fields.List {
				require.NotNil(t, f.Tag, "%s: a field without a key", of.Name.Name)
				require.Regexp(t, "^`yaml:\"([a-z_]+|,inline)\"`$", f.Tag.Value)
				require.NotEmpty(t, f.Doc.Text(), "%s %s", of.Name.Name, f.Tag.Value)
			}
		}
	}
	require.Equal(t, 8, types)
}

// Package bus has the fields, and here are their keys: all of them.
func TestKeysOfBus(t *testing.T) {
	keys := func(t reflect.Type) []string {
		var out []string
		for i := range t.NumField() {
			key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			out = append(out, key)
		}
		return out
	}
	mine := func(t reflect.Type) []string {
		var out []string
		for _, f := range fieldsOf(t) {
			out = append(out, f.key)
		}
		return out
	}
	require.Equal(t, append(keys(reflect.TypeFor[bus.Config]()), "store", "listen"), mine(reflect.TypeFor[Bus]()))
	for i, key := range mine(reflect.TypeFor[Bus]()) {
		require.Equal(t, Override{Var: "ERGON_BUS_" + strings.ToUpper(key), Path: "bus." + key, Doc: Overrides()[i].Doc}, Overrides()[i])
	}
	require.Equal(t, append(keys(reflect.TypeFor[bus.Consumer]()), "max_bytes"), mine(reflect.TypeFor[JetStreamSource]()))
	require.Equal(t, keys(reflect.TypeFor[bus.Stream]())[1:], mine(reflect.TypeFor[bus.Stream]()))
	require.NotContains(t, mine(reflect.TypeFor[bus.Stream]()), "")

	// subject_prefix is called subject here, and one subject for all tasks is not
	// offered: ergon dlq could not tell them apart.
	dead := slices.DeleteFunc(keys(reflect.TypeFor[bus.DeadLetterConfig]()), func(k string) bool { return k == "subject" })
	dead[slices.Index(dead, "subject_prefix")] = "subject"
	require.Equal(t, dead, mine(reflect.TypeFor[DeadLetters]()))
	parking := keys(reflect.TypeFor[bus.ParkingConfig]())
	parking[slices.Index(parking, "subject_prefix")] = "subject"
	require.Equal(t, parking, mine(reflect.TypeFor[Parking]()))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[DeadLetters]()) {
		d := reflect.New(reflect.TypeFor[DeadLetters]()).Elem()
		switch field := d.FieldByIndex(f.Index); field.Kind() {
		case reflect.String:
			field.SetString("x")
		default:
			field.SetInt(1)
		}
		require.NotZero(t, d.Interface().(DeadLetters).Config(), "%s is forgotten by Config", f.Name)
	}
}
