package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/bus"
)

// comments are what the source says of each field: by the type, then the field.
type comments map[string]map[string]string

// readComments reads the packages whose types a file is read into. A field without a
// comment shares that of the one before it, if it is named there.
func readComments(t *testing.T) comments {
	t.Helper()
	out := comments{}
	for pkg, dir := range map[string]string{"app/config": ".", "bus": "../../bus", "connectors/http": "../../connectors/http", "policy": "../../policy", "services/spec": "../../services/spec", "telemetry": "../../telemetry"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				fields, ok := spec.Type.(*ast.StructType)
				if !ok {
					return false
				}
				of := map[string]string{}
				before := ""
				for _, f := range fields.Fields.List {
					doc := f.Doc.Text()
					for _, name := range f.Names {
						if doc == "" && regexp.MustCompile(`\b`+name.Name+`\b|\b_`+strings.ToUpper(name.Name)+`\b`).MatchString(before) {
							doc = before
						}
						of[name.Name] = doc
					}
					before = doc
				}
				out["github.com/ergon-framework/ergon/"+pkg+"."+spec.Name.Name] = of
				return false
			})
		}
	}
	return out
}

// requirement is a rule's number, which is for whoever changes Ergon.
var requirement = regexp.MustCompile(`\s*\((?:R\d+(?:, )?)+\)`)

// of is the text about a field, in one line, with keys in the place of Go's names.
func (c comments) of(t reflect.Type, f reflect.StructField) string {
	text := c[t.PkgPath()+"."+t.Name()][f.Name]
	text = strings.Join(strings.Fields(requirement.ReplaceAllString(text, "")), " ")
	if !slices.ContainsFunc([]string{"/bus", "/telemetry", "/connectors/http"}, func(pkg string) bool { return strings.HasSuffix(t.PkgPath(), pkg) }) {
		return text // written for the file
	}
	text = regexp.MustCompile(`\[((?:Auth\.|Route\.)?[A-Z]\w*)\]`).ReplaceAllString(text, "$1")
	for i := range t.NumField() {
		other := t.Field(i)
		key, _, _ := strings.Cut(other.Tag.Get("yaml"), ",")
		text = regexp.MustCompile(`(^|[^-\w])`+other.Name+`\b`).ReplaceAllString(text, "${1}"+key)
	}
	return text
}

// describe is the text about each path, of groups and of values.
func describe(t *testing.T) map[string]string {
	t.Helper()
	c := readComments(t)
	out := map[string]string{}
	var walk func(of reflect.Type, p path)
	walk = func(of reflect.Type, p path) {
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Struct {
			walk(of.Elem(), p.key(anyName))
			return
		}
		if isGroups(of) {
			walk(of.Elem(), p.key(anyName))
			return
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for i := range of.NumField() {
			f := of.Field(i)
			key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case option == "inline":
				walk(f.Type, p)
			case of == reflect.TypeFor[bus.Stream]() && key == "name":
			case f.IsExported() && key != "-":
				at := p.key(key)
				out[strings.Join(at, ".")] = c.of(of, f)
				require.NotEmpty(t, out[strings.Join(at, ".")], "%s has no comment", at)
				walk(f.Type, at)
			}
		}
	}
	walk(reflect.TypeFor[Config](), nil)
	// What is in force for a task's phases is not for a service.
	for p, text := range out {
		if strings.HasPrefix(p, "services.*.policy.") {
			out[p] = regexp.MustCompile(` Default: process.*`).ReplaceAllString(text, "")
		}
	}
	// Package bus knows addresses only.
	out["bus.url"] = strings.ReplaceAll(out["bus.url"], "else nats://127.0.0.1:4222.", "else embedded: a server inside the process.")
	return out
}
