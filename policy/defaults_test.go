package policy_test

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// R036, R085: the defaults stay as they are until somebody changes them on purpose.
func TestDefaultsAreFrozen(t *testing.T) {
	for file, defaults := range map[string]any{
		"default_consumer.json": policy.DefaultConsumer(),
		"default_producer.json": policy.DefaultProducer(),
	} {
		got, err := json.MarshalIndent(defaults, "", "  ")
		require.NoError(t, err)
		got = append(got, '\n')
		file = filepath.Join("testdata", file)
		if *update {
			require.NoError(t, os.WriteFile(file, got, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run go test ./policy -update if this is meant")
	}
}

// R069: the defaults are valid, finite and rest when there is nothing to do.
func TestDefaultsAreSafe(t *testing.T) {
	c, p := policy.DefaultConsumer(), policy.DefaultProducer()
	require.NoError(t, c.Validate())
	require.NoError(t, p.Validate())
	require.Equal(t, c.Produce, p.Produce)
	require.Positive(t, c.Fetch.Empty.Delay(0), "decision k: no busy loop")
	for _, phase := range []policy.Phase{c.Process, c.Produce, c.Success, c.Exception} {
		require.Positive(t, phase.Retry.Timeout)
		require.Positive(t, phase.Retry.BackoffCap)
		require.False(t, phase.Breaker.Enabled())
		require.False(t, phase.RateLimit.Enabled())
	}
}

// The consumer of the documentation writes out the defaults; both stay true.
func TestDesignExampleIsTheDefault(t *testing.T) {
	document, err := os.ReadFile("testdata/design.yaml")
	require.NoError(t, err)
	got := policy.DefaultConsumer()
	require.NoError(t, yaml.UnmarshalWithOptions(document, &got, yaml.Strict()))
	want := policy.DefaultConsumer()
	want.Process.Bulkhead.MaxConcurrency = 256
	require.Equal(t, want, got)
}

// Every exported field has one key, the same in JSON and YAML and in snake case,
// and its default stands in a golden file. Only extra has nothing to show.
func TestEveryFieldHasItsKeyAndDefault(t *testing.T) {
	for file, typ := range map[string]reflect.Type{
		"default_consumer.json": reflect.TypeFor[policy.Consumer](),
		"default_producer.json": reflect.TypeFor[policy.Producer](),
	} {
		document, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		var golden map[string]any
		require.NoError(t, json.Unmarshal(document, &golden))
		checkFields(t, typ, golden, strings.TrimSuffix(file, ".json"))
	}
}

func checkFields(t *testing.T, typ reflect.Type, golden map[string]any, path string) {
	t.Helper()
	seen := map[string]bool{}
	for f := range typ.Fields() {
		require.True(t, f.IsExported(), "%s.%s: a policy hides nothing (R068)", path, f.Name)
		require.Equal(t, f.Tag.Get("json"), f.Tag.Get("yaml"), "%s.%s", path, f.Name)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		require.Regexp(t, `^[a-z]+(_[a-z]+)*$`, key, "%s.%s", path, f.Name)
		require.False(t, seen[key], "%s.%s", path, key)
		seen[key] = true
		if key == "extra" {
			continue
		}
		value, ok := golden[key]
		require.True(t, ok, "%s.%s has no default in the golden file", path, key)
		delete(golden, key)
		switch f.Type.Kind() {
		case reflect.Struct:
			checkFields(t, f.Type, value.(map[string]any), path+"."+key)
		case reflect.Int, reflect.Int64, reflect.Float64, reflect.Bool, reflect.String:
		default:
			t.Errorf("%s.%s is a %s: a policy is data (R068)", path, key, f.Type)
		}
	}
	require.Empty(t, golden, "%s: the golden file has more than the type", path)
}

// What a field means, its unit and its default are said where it is declared.
func TestEveryFieldIsDocumented(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	documented := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		ast.Inspect(parsed, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			documented++
			text := field.Doc.Text()
			require.NotEmpty(t, text, "%s: %s", file, field.Names)
			typ, isName := field.Type.(*ast.Ident)
			if isName && ast.IsExported(typ.Name) && typ.Name != "Duration" && typ.Name != "Mode" {
				return true // a group; its own fields say their defaults
			}
			require.Contains(t, text, "Default", "%s: %s", file, field.Names)
			return true
		})
	}
	require.Greater(t, documented, 40)
}
