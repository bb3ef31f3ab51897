package config

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"
)

const (
	referencePage  = "../../docs/reference/configuration.md"
	referenceBegin = "<!-- The keys, generated: go test ./app/config -update -->\n"
	referenceEnd   = "<!-- The end of the keys. -->\n"
)

// The tables of the reference are what the types and their comments say.
func TestReferenceIsGeneratedFromTheTypes(t *testing.T) {
	text, err := os.ReadFile(referencePage)
	require.NoError(t, err)
	head, rest, ok := strings.Cut(string(text), referenceBegin)
	require.True(t, ok, "%s has no place for the keys", referencePage)
	_, tail, ok := strings.Cut(rest, referenceEnd)
	require.True(t, ok, "%s has no end of the keys", referencePage)
	want := head + referenceBegin + tables(t) + referenceEnd + tail
	if *update {
		require.NoError(t, os.WriteFile(referencePage, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "run go test ./app/config -update")
}

// chapters are the groups that have a table of their own, in the order of the file.
var chapters = []string{
	"app", "bus", "streams.*", "dead_letters", "parking", "admin", "http", "telemetry",
	"services.*.kv", "services.*.http", "services.*.sql", "services.*.llm", "services.*.policy",
	"tasks.*.source.http.routes.*", "tasks.*.source", "tasks.*.routes.*.http", "tasks.*.routes.*", "tasks.*.dead_letters", "tasks.*.consumer", "tasks.*.producer", "tasks.*",
}

func tables(t *testing.T) string {
	t.Helper()
	docs := describe(t)
	schema := &jsonschema.Schema{}
	require.NoError(t, json.Unmarshal(Schema(), schema))
	of := map[string][]Key{}
	for _, k := range Keys() {
		for _, c := range chapters { // the last is for what is in none
			if k.Path == c || strings.HasPrefix(k.Path, c+".") {
				of[c] = append(of[c], k)
				break
			}
		}
	}
	var b strings.Builder
	for _, c := range chapters {
		if len(of[c]) == 0 {
			continue
		}
		title := strings.NewReplacer("routes.*.http", "routes.NAME.http", "http.routes.*", "http.routes[]", ".*", ".NAME", "tasks.*", "tasks.TASK").Replace(c)
		fmt.Fprintf(&b, "\n## `%s`\n\n", title)
		if text := docs[strings.TrimSuffix(c, ".*")]; c != "app" && text != "" {
			fmt.Fprintf(&b, "%s\n\n", cell(text))
		}
		b.WriteString("| key | type | default | meaning | variable |\n|---|---|---|---|---|\n")
		for _, k := range of[c] {
			name := strings.TrimPrefix(k.Path, c+".")
			row(&b, name, typeWithBounds(k, find(schema, k.Path)), k, docs[k.Path])
		}
	}
	transformKeys(t, &b)
	return b.String() + "\n"
}

// transformKeys are those of the tasks that the file makes itself. They have no variables:
// what they say belongs together.
func transformKeys(t *testing.T, b *strings.Builder) {
	c := readComments(t)
	b.WriteString("\n## `tasks.TASK.transform`\n\nWhat a task does that has `use: transform`; see [how](../how-to/tasks-without-go.md).\n\n| key | type | meaning |\n|---|---|---|\n")
	var rows func(of reflect.Type, prefix string)
	rows = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			f := of.Field(i)
			key := prefix + f.Tag.Get("yaml")
			if f.Type == reflect.TypeFor[[]FailIf]() {
				fmt.Fprintf(b, "| `%s` | list | %s |\n", key, cell(c.of(of, f)))
				rows(f.Type.Elem(), key+"[].")
				continue
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", key, typeName(f.Type), cell(c.of(of, f)))
		}
	}
	rows(reflect.TypeFor[Transform](), "")
}

// row is a key, and below it the one that names the file of a secret.
func row(b *strings.Builder, name, typ string, k Key, text string) {
	def := ""
	switch f := facts[k.Path]; {
	case k.Required:
		def = "required"
	case f.words != "":
		def = cell(f.words)
	case k.Default != "":
		def = "`" + k.Default + "`"
	}
	variable := ""
	if k.Variable != "" {
		variable = "`" + k.Variable + "`"
	}
	if k.Secret {
		typ += ", secret"
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", name, typ, def, cell(text), variable)
	if k.Secret {
		p := splitPath(k.Path)
		if variable = ""; !p.nested() {
			variable = "`" + nameOf(p.shown()) + fileVariable + "`"
		}
		fmt.Fprintf(b, "| `%s%s` | text | | The path of a file that holds it; see [Secrets](#secrets). | %s |\n", name, fileKey, variable)
	}
}

// typeWithBounds is the type with its words or bounds. Those of a policy are in its schema.
func typeWithBounds(k Key, s *jsonschema.Schema) string {
	if len(k.Words) > 0 {
		return "`" + strings.Join(k.Words, "`, `") + "`"
	}
	least, most := k.Min, k.Max
	if s != nil {
		for _, choice := range s.AnyOf {
			if choice.Type == "integer" || choice.Type == "number" && k.Type == typeNumber {
				least, most = string(choice.Minimum), string(choice.Maximum)
			}
		}
	}
	switch {
	case least != "" && most != "":
		return k.Type + ", " + least + " to " + most
	case least != "":
		return k.Type + ", " + least + " or more"
	}
	return k.Type
}

// find is the part of the schema that a path leads to.
func find(s *jsonschema.Schema, dotted string) *jsonschema.Schema {
	for _, key := range strings.Split(dotted, ".") {
		switch {
		case s == nil:
			return nil
		case key == anyName && s.Items != nil:
			s = s.Items
		case key == anyName:
			s = s.AdditionalProperties
		case s.Properties == nil:
			return nil
		default:
			s, _ = s.Properties.Get(key)
		}
	}
	return s
}

// cell keeps text from ending a cell or being taken for HTML.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*").Replace(text)
}
