package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/policy"
)

// All of a file's faults, as they are printed.
func TestErrorText(t *testing.T) {
	_, err := config.Parse("ergon.yaml", []byte(`app: retail
bus:
  url: ${NATS_URL}
  passwrod: hunter2
  conect_timeout: 5s
tasks:
  score:
    source: { jetstream: { stream: RETAIL, subject: [retail.lines], ack_wait: soon } }
    routes:
      scored: { jetstream: { stream: RETAIL_OUT, subject: retail.* } }
    consumer:
      process:
        retry: { max_attempts: 0, timeot: 3s }
`), none)
	require.EqualError(t, err, strings.Join([]string{
		`ergon.yaml:3:8: bus.url: variable NATS_URL is not set: set it, or write ${NATS_URL:-default}`,
		`      url: ${NATS_URL}`,
		`           ^`,
		`ergon.yaml:4:3: bus.passwrod: unknown key "passwrod", did you mean "password"?`,
		`      passwrod: xxxxx`,
		`      ^`,
		`ergon.yaml:5:3: bus.conect_timeout: unknown key "conect_timeout", did you mean "connect_timeout"?`,
		`      conect_timeout: 5s`,
		`      ^`,
		`ergon.yaml:8:44: tasks.score.source.jetstream.subject: unknown key "subject", did you mean "subjects"?`,
		`        source: { jetstream: { stream: RETAIL, subject: [retail.lines], ack_wait: soon } }`,
		`                                               ^`,
		`ergon.yaml:8:79: tasks.score.source.jetstream.ack_wait: "soon" is not a duration: write 250ms, 1m30s or a number of seconds`,
		`        source: { jetstream: { stream: RETAIL, subject: [retail.lines], ack_wait: soon } }`,
		`                                                                                  ^`,
		`ergon.yaml:10:59: tasks.score.routes.scored.jetstream.subject: "retail.*" has a wildcard: what is sent has one subject`,
		`          scored: { jetstream: { stream: RETAIL_OUT, subject: retail.* } }`,
		`                                                              ^`,
		`ergon.yaml:13:32: tasks.score.consumer.process.retry.max_attempts: 0 is below 1`,
		`            retry: { max_attempts: 0, timeot: 3s }`,
		`                                   ^`,
		`ergon.yaml:13:35: tasks.score.consumer.process.retry.timeot: unknown key "timeot", did you mean "timeout"?`,
		`            retry: { max_attempts: 0, timeot: 3s }`,
		`                                      ^`,
	}, "\n"))

	var e *config.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Faults, 8)
	require.Equal(t, config.Fault{
		File: "ergon.yaml", Line: 13, Column: 32, Path: "tasks.score.consumer.process.retry.max_attempts", Message: "0 is below 1",
		Excerpt: "            retry: { max_attempts: 0, timeot: 3s }\n                                   ^",
	}, e.Faults[6])
	require.NotErrorIs(t, err, fs.ErrNotExist)
}

func TestNotYAML(t *testing.T) {
	for text, want := range map[string]string{
		"app: x\n\tbus: y\n":      "2:1: is not YAML: a tab cannot stand here: YAML is indented with spaces",
		"bus:\n\turl: y\n":        "2:1: is not YAML: a tab cannot stand here: YAML is indented with spaces",
		"app: b: c":               "1:6: is not YAML: mapping value is not allowed in this context",
		"app: \"x\n":              "1:6: is not YAML: could not find end character of double-quoted text",
		"app: [1\n":               "1:6: is not YAML: sequence end token ']' not found",
		"app: {x: 1\n":            "1:6: is not YAML: could not find flow mapping end token '}'",
		"app: @x":                 "1:6: is not YAML: '@' is a reserved character",
		"? [a]\n: b\n":            "2:1: is not YAML: found an invalid key for this map",
		"app: *nope":              "1:6: app: there is no anchor &nope before this",
		"streams: &a {S: *a}":     "1:17: streams.S: there is no anchor &a before this",
		"app: !!str x":            "1:6: app: a tag is not understood here: put text in quotes, and leave the tag out",
		"bus: {<<: x}":            `1:11: bus."<<": text cannot be merged: name a group of keys, or a list of them`,
		"app: x\n---\napp: y\n":   "2:1: a second document begins here: a configuration is one document",
		"- a":                     "1:1: a list where the keys of a configuration are expected: app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks",
		"just text":               "1:1: text where the keys of a configuration are expected: app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks",
		"app: \xff":               "1:6: is not UTF-8: save the file as UTF-8",
		"é: \ufffd\n\n  \xe2\x28": "3:3: is not UTF-8: save the file as UTF-8",
		"app: \ue97b":             "1:6: the character U+E97B is for private use and cannot stand here: remove it",
		"app: a\x00":              " is a binary file and not YAML: check the name of the file",
		"\xff\xfea\x00":           " is UTF-16: save it as UTF-8",
		"\x7fELF\x00":             " is a binary file and not YAML: check the name of the file",
	} {
		require.Equal(t, []string{want}, faults(t, text), "%q", text)
	}
}

func TestWrongTypes(t *testing.T) {
	keys := "url, context, name, creds, nkey, user, password, token, ca, cert, key, tls_first, domain, api_prefix, inbox_prefix, connect_timeout, store, listen"
	for text, want := range map[string][]string{
		"foo: 1\napp: [a]\nbus: 5\nstreams: [x]\ntasks: text\napp: b\n": {
			`1:1: foo: unknown key "foo", the keys here are app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks`,
			`2:1: app: text is expected, and this is a list`,
			`3:6: bus: a group of keys (` + keys + `) is expected, and this is a value`,
			`4:1: streams: a group of names is expected, and this is a list`,
			`5:8: tasks: a group of names is expected, and this is a value`,
			`6:1: app: the key stands twice`,
		},
		"app: true\nbus: { connect_timeout: -1s, name: { a: b }, store: no }\ndead_letters: { max_age: [1], replicas: 1.5, max_bytes: 99999999999999999999 }\n": {
			`1:6: app: true is not text: put it in quotes if it is meant so`,
			`2:25: bus.connect_timeout: "-1s" is negative: a duration is zero or more`,
			`2:30: bus.name: text is expected, and this is a group of keys`,
			`3:17: dead_letters.max_age: a duration is expected, and this is a list`,
			`3:41: dead_letters.replicas: "1.5" is not a whole number`,
			`3:57: dead_letters.max_bytes: "99999999999999999999" is too large`,
		},
		"streams: { S: { subjects: s, allow_ttl: yes, replicas: 010, name: S }, T: { subjects: [a, , b] } }": {
			`1:91: is not YAML: unexpected scalar value type`,
		},
		"streams: { S: { subjects: s, allow_ttl: yes, replicas: 010, name: S }, T: { subjects: [a, ~, {}] } }": {
			`1:27: streams.S.subjects: "s" is not a list: put it in [ ]`,
			`1:41: streams.S.allow_ttl: "yes" is not true or false`,
			`1:56: streams.S.replicas: "010" is not a whole number`,
			`1:61: streams.S.name: unknown key "name", the keys here are subjects, description, storage, retention, discard, max_age, max_bytes, max_msgs, replicas, duplicates, allow_schedules, allow_ttl, allow_atomic`,
			`1:91: streams.T.subjects[1]: the list has an empty item here: remove it, or say what it is`,
			`1:94: streams.T.subjects[2]: text is expected, and this is a group of keys`,
		},
	} {
		require.Equal(t, want, faults(t, text), "%s", text)
	}
}

// Faults of the policy come from package policy, with their place in the file.
func TestConsumerFaults(t *testing.T) {
	const source = "tasks: { t: { source: { jetstream: { stream: S, subjects: [a] } }, consumer: "
	require.Equal(t, []string{
		`1:68: tasks.t.consumer: a group of keys (loop, fetch, transaction, process, produce, success, exception, shutdown) is expected, and this is a list`,
	}, faults(t, source+"[x] } }"))
	require.Equal(t, []string{
		`2:24: tasks.t.consumer.loop.concurrency: "many" is not a whole number`,
		`3:17: tasks.t.consumer.loop.mode: "fast" is not a mode: the modes are "continuous" and "batch"`,
		`3:23: tasks.t.consumer.loop.streming: unknown key "streming", did you mean "streaming"?`,
		`4:9: tasks.t.consumer.loop.limit: the key stands twice`,
		`5:14: tasks.t.consumer.process: 3 is not a group of keys: here belong [retry bulkhead breaker rate_limit]`,
		`6:9: tasks.t.consumer.fetch.size: unknown key "size", did you mean "batch.size"?`,
		`6:36: tasks.t.consumer.fetch.retry.jitter: 2 is above 1`,
	}, faults(t, source+`{
  loop: { concurrency: many, limit: 1,
          mode: fast, streming: 1,
        limit: 2 },
    process: 3,
fetch: {size: 1,   retry: {jitter: 2} } } } }`))
	require.Equal(t, []string{
		// The rule names a key that the file leaves out: the nearest thing above it.
		`1:80: tasks.t.consumer.loop.window: 1024 is below loop.concurrency, 2000`,
	}, faults(t, source+"{ loop: { concurrency: 2000 } } } }"))
}

// A fault isn't told twice, in the words of each rule that it breaks.
func TestOneMistakeOneFault(t *testing.T) {
	for text, want := range map[string][]string{
		"tasks: { t: { sorce: { jetstream: { stream: S, subjects: [a] } } } }": {
			`1:15: tasks.t.sorce: unknown key "sorce", did you mean "source"?`,
		},
		"tasks: { t: { source: { jetstrem: { stream: S, subjects: [a] } } } }": {
			`1:25: tasks.t.source.jetstrem: unknown key "jetstrem", did you mean "jetstream"?`,
		},
		"tasks: { t: { source: { kafka: {} } } }": {
			`1:25: tasks.t.source.kafka: unknown key "kafka", the keys here are http, jetstream, trace`,
		},
		"tasks: { t: { source: { jetstream: { stream: \"${A}\", subjects: [a, \"${B}\"] } } } }": {
			`1:46: tasks.t.source.jetstream.stream: variable A is not set: set it, or write ${A:-default}`,
			`1:68: tasks.t.source.jetstream.subjects[1]: variable B is not set: set it, or write ${B:-default}`,
		},
		"streams: { S: { subject: [a] } }": {
			`1:17: streams.S.subject: unknown key "subject", did you mean "subjects"?`,
		},
		"bus: { usr: a, password: b }": {
			`1:8: bus.usr: unknown key "usr", did you mean "user"?`,
		},
	} {
		require.Equal(t, want, faults(t, text), "%s", text)
	}
}

func TestErrorsOfPrograms(t *testing.T) {
	c := config.Default()
	c.App = ""
	c.Tasks = map[string]config.Task{"t": {DeadLetters: c.DeadLetters, Consumer: policy.DefaultConsumer(), Producer: policy.DefaultProducer()}}
	err := c.Validate()
	require.EqualError(t, err, `app: "" is not the name of an application: it is 1 to 64 letters, digits, dots, dashes and underscores`+"\n"+
		`tasks.t.source: a source is required: write source: { jetstream: { stream: … } }`)
	e, ok := errors.AsType[*config.Error](err)
	require.True(t, ok)
	require.Equal(t, config.Fault{Path: "tasks.t.source", Message: "a source is required: write source: { jetstream: { stream: … } }"}, e.Faults[1])
}
