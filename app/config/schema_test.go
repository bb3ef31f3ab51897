package config_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

// validator checks a YAML document by the published schema.
func validator(t *testing.T) func(text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("ergon.schema.json", document))
	s, err := c.Compile("ergon.schema.json")
	require.NoError(t, err)
	return func(text string) error {
		data, err := yaml.YAMLToJSON([]byte(text))
		require.NoError(t, err, text)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err, text)
		return s.Validate(value)
	}
}

// Every example names the schema, and is right by it and by Parse.
func TestSchemaTakesTheExamples(t *testing.T) {
	check := validator(t)
	files, err := filepath.Glob("../../examples/*/ergon.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 1)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		first, _, _ := strings.Cut(string(text), "\n")
		where, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=")
		require.True(t, ok, "%s: the first line names the schema", file)
		require.FileExists(t, filepath.Join(filepath.Dir(file), where))
		require.NoError(t, check(string(text)), file)
		r, err := config.ResolveFile(file, config.Inputs{})
		require.NoError(t, err)
		require.Empty(t, r.Warnings(), file)
		require.NoError(t, check(r.YAML(false)), file)
	}
	require.NoError(t, check(example))
	require.NoError(t, check("{}"))
	require.NoError(t, check("bus: { url: \"${NATS_URL:-embedded}\", connect_timeout: 30, tls_first: \"${T}\", password_file: p }\nadmin: { trail: \"${N:-5}\" }"))
	require.NoError(t, check("tasks: { t: { source: { jetstream: { stream: S, ack_wait: \"${W}\" } }, consumer: { loop: { mode: \"${M}\", concurrency: \"${N}\" } } } }"))
}

// An editor says nothing of a schema that it does not find: every file that names one
// leads to it.
func TestSchemaIsWhereFilesSayItIs(t *testing.T) {
	const root = "../.."
	line := regexp.MustCompile(`(?m)^\s*# yaml-language-server: \$schema=(\S+)$`)
	found := 0
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && file != root:
			return fs.SkipDir
		case entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".md", ".tmpl"}, filepath.Ext(file)):
			return nil
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			found++
			require.FileExists(t, filepath.Join(filepath.Dir(file), m[1]), "%s names it as its schema", file)
		}
		return nil
	}))
	require.Greater(t, found, 4)
}

// What the schema refuses, and where. Parse refuses each as well.
func TestSchemaCatchesTypos(t *testing.T) {
	check := validator(t)
	const task = "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, "
	for text, where := range map[string]string{
		"ap: x":                       "'ap' not allowed",
		"app: [x]":                    "/app",
		"app: a b":                    "/app",
		"bus: { ulr: nats://h }":      "'ulr' not allowed",
		"bus: { connect_timeout: x }": "/bus/connect_timeout",
		"bus: { tls_first: 1 }":       "/bus/tls_first",
		"bus: { token: a, token_file: b, url: nats://h }":                       "/bus",
		"dead_letters: { storage: disk }":                                       "/dead_letters/storage",
		"parking: { replicas: 6 }":                                              "/parking/replicas",
		"admin: { trail: 0 }":                                                   "/admin/trail",
		"telemetry: { traces: { ratio: 2 } }":                                   "/telemetry/traces/ratio",
		"telemetry: { otlp: { compression: zip } }":                             "/telemetry/otlp/compression",
		"streams: { S: { max_age: 1h } }":                                       "missing property 'subjects'",
		"streams: { S: { subjects: s } }":                                       "/streams/S/subjects",
		"streams: { S: { subjects: [s], retension: x } }":                       "'retension' not allowed",
		"tasks: { T: { source: { jetstream: { stream: S, subjects: [s] } } } }": "/tasks",
		"tasks: { t: { } }":                                                     "missing property 'source'",
		"tasks: { t: { source: { jetstream: { subjects: [s] } } } }":            "missing property 'stream'",
		task + "consumr: {} } }":                                                "'consumr' not allowed",
		task + "routes: { r: { jetstream: { stream: S } } } } }":                "missing property 'subject'",
		task + "consumer: { process: { retry: { max_attemps: 1 } } } } }":       "'max_attemps' not allowed",
		task + "consumer: { process: { retry: { max_attempts: 0 } } } } }":      "/tasks/t/consumer/process/retry/max_attempts",
		task + "consumer: { loop: { mode: burst } } } }":                        "/tasks/t/consumer/loop/mode",
		task + "producer: { loop: { streaming: true } } } }":                    "'streaming' not allowed",
	} {
		require.ErrorContains(t, check(text), where, text)
		_, err := config.Parse("ergon.yaml", []byte(text), none)
		require.Error(t, err, text)
	}
}

// What the schema and the reference say of words and bounds is what Parse checks.
func TestKeysAreAsChecked(t *testing.T) {
	const file = "streams: { S: { subjects: [s.>] } }\nservices: { kv: { kv: { bucket: B } }, http: { http: { url: http://h } }, sql: { sql: { url: sqlite:f } }, llm: { llm: { url: http://h, model: m } } }\ntasks: { t: { source: { jetstream: { stream: S } }, routes: { r: { jetstream: { stream: R, subject: r } } }, dead_letters: { stream: D, subject: d } } }"
	parse := func(k config.Key, value string) error {
		at := k.Path
		if rest, ok := strings.CutPrefix(at, "services.*."); ok {
			kind, _, _ := strings.Cut(rest, ".")
			at = "services." + kind + "." + rest
		}
		p := strings.Replace(strings.Replace(strings.Replace(at, "streams.*", "streams.S", 1), "tasks.*", "tasks.t", 1), "routes.*", "routes.r", 1)
		text := file
		p = strings.NewReplacer("http.routes.r", "http.routes.[0]", "bearer.*", "bearer.[0]").Replace(p)
		switch {
		case strings.HasPrefix(p, "tasks.t.routes.r.http."):
			text = strings.Replace(text, "{ jetstream: { stream: R, subject: r } }", `{ http: { url: "http://h" } }`, 1)
		case p == "tasks.t.source.http.queue":
			text = strings.Replace(text, "{ jetstream: { stream: S } }", `{ http: { mode: result, routes: [{ path: /in }] } }`, 1)
		case p == "tasks.t.source.http.mode" && value == "result":
			text = strings.Replace(text, "{ jetstream: { stream: S } }", `{ http: { routes: [{ path: /in }] } }`, 1)
		case strings.HasPrefix(p, "tasks.t.source.http."):
			text = strings.Replace(text, "source: {", `source: { http: { subject: s.in, routes: [{ path: /in, auth: { signature: { kind: github, secrets: [MDEyMzQ1Njc4OWFiY2RlZjAxMjM=] } } }], records: { bucket: B } },`, 1)
		}
		_, err := config.Resolve("ergon.yaml", []byte(text), config.Inputs{Flags: []config.Flag{{Name: "--set", Path: p, Value: value}}})
		return err
	}
	words, bounds := 0, 0
	for _, k := range config.Keys() {
		for _, w := range k.Words {
			require.NoError(t, parse(k, w), "%s=%s", k.Path, w)
			words++
		}
		if len(k.Words) > 0 {
			require.Error(t, parse(k, "nonsense"), k.Path)
		}
		if k.Min != "" {
			require.NoError(t, parse(k, k.Min), k.Path)
			require.Error(t, parse(k, "-1"), k.Path)
			bounds++
		}
		if k.Max != "" {
			require.NoError(t, parse(k, k.Max), k.Path)
			require.Error(t, parse(k, "9"+k.Max), k.Path)
		}
	}
	require.Greater(t, words, 30)
	require.Greater(t, bounds, 8)
}
