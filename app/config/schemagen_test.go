package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
	policyschema "github.com/ergon-framework/ergon/policy/schema"
	"github.com/ergon-framework/ergon/services/spec"
)

var update = flag.Bool("update", false, "write the schema and the reference anew from the types")

const (
	publishedSchema = "../../docs/reference/ergon.schema.json"
	schemaID        = "https://github.com/ergon-framework/ergon/docs/reference/ergon.schema.json"
)

func TestSchemaIsGeneratedFromTheTypes(t *testing.T) {
	g := schemaGenerator{docs: describe(t), facts: map[string]Key{}}
	for _, k := range Keys() {
		g.facts[k.Path] = k
	}
	root := g.build(t, reflect.TypeFor[Config](), nil)
	root.Version, root.ID, root.Title = jsonschema.Version, schemaID, "ergon.yaml"
	root.Description = "What an application of Ergon runs, where its transactions come from and go to, and how hard it tries. docs/reference/configuration.md has it as text."
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(root))
	want := unescape(text.Bytes())
	if *update {
		require.NoError(t, os.WriteFile("ergon.schema.json", want, 0o644))
		require.NoError(t, os.WriteFile(publishedSchema, want, 0o644))
		return
	}
	published, err := os.ReadFile(publishedSchema)
	require.NoError(t, err)
	const how = "run go test ./app/config -update"
	require.Equal(t, string(want), string(Schema()), how)
	require.Equal(t, string(want), string(published), how)
}

// unescape takes back what the schema's own MarshalJSON escapes for HTML.
func unescape(document []byte) []byte {
	for escaped, r := range map[string]string{`\u003c`: "<", `\u003e`: ">", `\u0026`: "&"} {
		document = bytes.ReplaceAll(document, []byte(escaped), []byte(r))
	}
	return document
}

type schemaGenerator struct {
	docs  map[string]string
	facts map[string]Key
}

// build is the schema of what stands at a path.
func (g schemaGenerator) build(t *testing.T, of reflect.Type, p path) *jsonschema.Schema {
	t.Helper()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	s := &jsonschema.Schema{}
	switch {
	case of == reflect.TypeFor[policy.Consumer]():
		s = imported(t, policyschema.Consumer())
	case of == reflect.TypeFor[policy.Producer]():
		s = imported(t, policyschema.Producer())
	case of == reflect.TypeFor[policy.Phase]():
		s, _ = imported(t, policyschema.Consumer()).Properties.Get("process")
		g.defaults(s, p)
	case of.Kind() == reflect.Struct:
		g.group(t, s, of, p)
	case of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Struct:
		s.Type, s.AdditionalProperties = "object", g.build(t, of.Elem(), p.key(anyName))
		switch p.String() {
		case "tasks":
			s.PropertyNames = &jsonschema.Schema{Pattern: taskName.String()}
		case "services":
			s.PropertyNames = &jsonschema.Schema{Pattern: serviceName.String()}
		case `tasks."*".routes`:
			s.PropertyNames = &jsonschema.Schema{Pattern: routeName.String()}
		}
	case isGroups(of):
		s.Type, s.Items = "array", g.build(t, of.Elem(), p.key(anyName))
	default:
		g.value(s, of, g.facts[strings.Join(p, ".")])
	}
	s.Description = g.docs[strings.Join(p, ".")]
	return s
}

func (g schemaGenerator) group(t *testing.T, s *jsonschema.Schema, of reflect.Type, p path) {
	t.Helper()
	s.Type, s.Properties, s.AdditionalProperties = "object", jsonschema.NewProperties(), jsonschema.FalseSchema
	if of == reflect.TypeFor[spec.Service]() {
		for _, kind := range spec.Kinds() {
			s.OneOf = append(s.OneOf, &jsonschema.Schema{Required: []string{kind}})
		}
	}
	one := []*jsonschema.Schema{{Required: []string{"jetstream"}}, {Required: []string{"http"}}}
	switch of {
	case reflect.TypeFor[Source](): // http that stores has both
		s.AnyOf = one
	case reflect.TypeFor[Route]():
		s.OneOf = one
	}
	for _, f := range fieldsOf(of) {
		at := p.key(f.key)
		name := strings.Join(at, ".")
		s.Properties.Set(f.key, g.build(t, of.FieldByIndex(f.index).Type, at))
		k := g.facts[name]
		if k.Required || name == "tasks.*.source" {
			s.Required = append(s.Required, f.key)
		}
		if !k.Secret {
			continue
		}
		file := &jsonschema.Schema{Type: "string", Description: "The path of a file that holds the " + f.key + ", with or without a line end behind it, so that it stands nowhere else."}
		if k.Type == typeList {
			file.Description = "The path of a file with the " + f.key + ", one a line, so that they stand nowhere else."
		}
		if k.Type == typeNames {
			file.Description = "The path of a file with headers, one a line, name: value, so that they stand nowhere else."
		} else {
			s.AllOf = append(s.AllOf, &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{f.key, f.key + fileKey}}})
		}
		s.Properties.Set(f.key+fileKey, file)
	}
}

// defaults replaces those of a policy by what is in force at a path.
func (g schemaGenerator) defaults(s *jsonschema.Schema, p path) {
	s.Description = g.docs[strings.Join(p, ".")]
	if s.Properties == nil {
		g.setDefault(s, g.facts[strings.Join(p, ".")])
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		g.defaults(pair.Value, p.key(pair.Key))
	}
}

func (g schemaGenerator) setDefault(s *jsonschema.Schema, k Key) {
	s.Default = nil
	if f := facts[k.Path]; f.words == "" && k.Default != "" {
		s.Default = any(k.Default)
		switch k.Type {
		case typeInt, typeNumber:
			s.Default = json.Number(k.Default)
		case typeBool:
			s.Default = k.Default == "true"
		}
	}
}

func (g schemaGenerator) value(s *jsonschema.Schema, of reflect.Type, k Key) {
	number := func(text string) json.Number { return json.Number(text) }
	switch k.Type {
	case typeDuration:
		*s = *oneOfReference(
			&jsonschema.Schema{Type: "string", Pattern: durationPattern},
			&jsonschema.Schema{Type: "number", Minimum: "0"})
	case typeBool:
		*s = *oneOfReference(&jsonschema.Schema{Type: "boolean"})
	case typeInt:
		*s = *oneOfReference(&jsonschema.Schema{Type: "integer", Minimum: number(k.Min), Maximum: number(k.Max)})
	case typeNumber:
		*s = *oneOfReference(&jsonschema.Schema{Type: "number", Minimum: number(k.Min), Maximum: number(k.Max)})
	case typeInts:
		s.Type, s.Items = "array", oneOfReference(&jsonschema.Schema{Type: "integer"})
	case typeList:
		s.Type, s.Items = "array", &jsonschema.Schema{Type: "string"}
	case typeNames:
		s.Type, s.AdditionalProperties = "object", &jsonschema.Schema{Type: "string"}
	case typeText:
		s.Type = "string"
		if k.Path == "app" {
			*s = *oneOfReference(&jsonschema.Schema{Type: "string", Pattern: appName.String()})
		}
		if len(k.Words) > 0 {
			words := &jsonschema.Schema{Type: "string"}
			for _, w := range k.Words {
				words.Enum = append(words.Enum, w)
			}
			*s = *oneOfReference(words)
		}
	}
	g.setDefault(s, k)
}

// durationPattern is package policy's, whose test holds it against the parser.
const durationPattern = `^\+?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$|^\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`

// oneOfReference takes ${NAME} as well: what it stands for is not known yet.
func oneOfReference(choices ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: append(choices, &jsonschema.Schema{Type: "string", Pattern: `\$\{[A-Za-z_]`})}
}

// imported is a policy's schema as a part of this one.
func imported(t *testing.T, document []byte) *jsonschema.Schema {
	t.Helper()
	s := &jsonschema.Schema{}
	require.NoError(t, json.Unmarshal(document, s))
	s.Version, s.Title = "", ""
	withReferences(s)
	return s
}

func withReferences(s *jsonschema.Schema) {
	s.Description = strings.TrimSpace(requirement.ReplaceAllString(s.Description, ""))
	if s.Properties != nil {
		for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
			withReferences(pair.Value)
		}
		return
	}
	var choices []*jsonschema.Schema
	switch {
	case len(s.OneOf) > 0:
		choices = s.OneOf
	case s.Type == "integer", s.Type == "number", s.Type == "boolean", len(s.Enum) > 0:
		choices = []*jsonschema.Schema{{Type: s.Type, Enum: s.Enum, Minimum: s.Minimum, Maximum: s.Maximum}}
	default:
		return
	}
	out := oneOfReference(choices...)
	out.Description, out.Default = s.Description, s.Default
	*s = *out
}
