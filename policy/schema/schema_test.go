package schema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/policy/schema"
)

var update = flag.Bool("update", false, "write the schemas anew from the policy types")

const durationPattern = `^\+?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$|^\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`

func TestSchemasAreGeneratedFromTheTypes(t *testing.T) {
	for _, tt := range []struct {
		file, title string
		defaults    any
		embedded    []byte
	}{
		{"consumer.schema.json", "Ergon consumer policy", policy.DefaultConsumer(), schema.Consumer()},
		{"producer.schema.json", "Ergon producer policy", policy.DefaultProducer(), schema.Producer()},
	} {
		t.Run(tt.file, func(t *testing.T) {
			want := generate(t, tt.title, tt.defaults)
			if *update {
				require.NoError(t, os.WriteFile(tt.file, want, 0o644))
				return
			}
			require.Equal(t, string(want), string(tt.embedded), "run go test ./policy/schema -update")
		})
	}
}

// generate reflects the type of the defaults. Three habits of the generator are
// corrected: it would make every key required, a Duration an integer, and it
// knows no default that depends on the place.
func generate(t *testing.T, title string, defaults any) []byte {
	t.Helper()
	reflector := &jsonschema.Reflector{
		Anonymous:                  true,
		DoNotReference:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			if typ != reflect.TypeFor[policy.Duration]() {
				return nil
			}
			return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
				{Type: "string", Pattern: durationPattern},
				{Type: "number", Minimum: "0"},
			}}
		},
	}
	require.NoError(t, reflector.AddGoComments("github.com/ergon-framework/ergon/policy/schema", ".."))
	root := reflector.Reflect(defaults)
	root.Title = title

	document, err := json.Marshal(defaults)
	require.NoError(t, err)
	var values map[string]any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // 1024 is to stay 1024
	require.NoError(t, decoder.Decode(&values))
	finish(t, root, values, "")

	out, err := json.MarshalIndent(root, "", "  ")
	require.NoError(t, err)
	return append(out, '\n')
}

// finish puts the default beside each value and unfolds the lines of descriptions.
func finish(t *testing.T, s *jsonschema.Schema, defaults map[string]any, path string) {
	t.Helper()
	s.Description = strings.Join(strings.Fields(s.Description), " ")
	require.NotEmpty(t, s.Description, "%s has no description", path)
	if s.Properties == nil {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		value, property := defaults[pair.Key], pair.Value
		inner, _ := value.(map[string]any)
		if inner == nil {
			property.Default = value
		}
		finish(t, property, inner, path+"."+pair.Key)
	}
}

func TestDocumentsThatAreRight(t *testing.T) {
	consumer, producer := parse(t, schema.Consumer()), parse(t, schema.Producer())

	whole, err := json.Marshal(policy.DefaultConsumer())
	require.NoError(t, err)
	require.Empty(t, check(consumer, parse(t, whole), ""))
	whole, err = json.Marshal(policy.DefaultProducer())
	require.NoError(t, err)
	require.Empty(t, check(producer, parse(t, whole), ""))

	for _, document := range []string{
		`{}`,
		`{"process":{}}`,
		`{"loop":{"mode":"batch","streaming":false,"concurrency":8}}`,
		`{"process":{"retry":{"timeout":0.25,"backoff":"1h2m3.5s","backoff_cap":"0"}}}`,
		`{"fetch":{"extra":{"anything":[1,{"goes":true}]}}}`,
	} {
		require.Empty(t, check(consumer, parse(t, []byte(document)), ""), document)
	}

	for _, example := range []string{"testdata/consumer.yaml", "../testdata/design.yaml"} {
		text, err := os.ReadFile(example)
		require.NoError(t, err)
		document, err := yaml.YAMLToJSON(text)
		require.NoError(t, err)
		require.Empty(t, check(consumer, parse(t, document), ""), example)
		c, err := policy.DecodeConsumerJSON(document)
		require.NoError(t, err, example)
		require.NoError(t, c.Validate(), example)
	}
}

func TestDocumentsThatAreWrong(t *testing.T) {
	consumer := parse(t, schema.Consumer())
	for document, want := range map[string]string{
		`{"proces":{}}`: `.proces: unknown`,
		`{"process":{"retry":{"max_attemps":1}}}`:          `.process.retry.max_attemps: unknown`,
		`{"process":{"retry":{"max_attempts":0}}}`:         `.process.retry.max_attempts: below 1`,
		`{"process":{"retry":{"max_attempts":1.5}}}`:       `.process.retry.max_attempts: not integer`,
		`{"process":{"retry":{"max_attempts":2000000}}}`:   `.process.retry.max_attempts: above 1000000`,
		`{"process":{"retry":{"jitter":1.1}}}`:             `.process.retry.jitter: above 1`,
		`{"process":{"retry":{"backoff_multiplier":0.9}}}`: `.process.retry.backoff_multiplier: below 1`,
		`{"process":{"retry":{"backoff":"-1s"}}}`:          `.process.retry.backoff: 0 of oneOf`,
		`{"process":{"retry":{"backoff":-1}}}`:             `.process.retry.backoff: 0 of oneOf`,
		`{"process":{"retry":{"backoff":"soon"}}}`:         `.process.retry.backoff: 0 of oneOf`,
		`{"loop":{"mode":"burst"}}`:                        `.loop.mode: not in enum`,
		`{"loop":{"streaming":"yes"}}`:                     `.loop.streaming: not boolean`,
		`{"loop":[]}`:                                      `.loop: not object`,
	} {
		require.Equal(t, []string{want}, check(consumer, parse(t, []byte(document)), ""), document)
	}
}

// The schema and the parser agree on what a duration looks like.
func TestDurationPattern(t *testing.T) {
	duration := map[string]any{"type": "string", "pattern": durationPattern}
	for _, text := range []string{"0", "0s", "250ms", "1m30s", "1.5h", ".5s", "+1s", "3µs", "0.25", "1e3", "2e-1"} {
		_, err := policy.ParseDuration(text)
		require.NoError(t, err, text)
		require.Empty(t, check(duration, text, ""), text)
	}
	for _, text := range []string{"", "s", "1", "1 s", "1d", "1s-1s", "-1s", "-1", "inf", "NaN", "0x1p4", "1_000", "s1"} {
		_, err := policy.ParseDuration(text)
		require.Equal(t, err == nil, len(check(duration, text, "")) == 0, text)
	}
}
