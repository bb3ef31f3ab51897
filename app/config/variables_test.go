package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

const twoTasks = `app: file
tasks:
  score:
    source: { jetstream: &src { stream: S, subjects: [s.a], ack_wait: 7s } }
    consumer: &calm { loop: { concurrency: 3 } }
  score-late:
    source: { jetstream: { <<: *src, subjects: [s.b] } }
    consumer: *calm
`

// world is an environment whose names are known.
func world(pairs ...string) config.Environment {
	var names []string
	for _, p := range pairs {
		name, _, _ := strings.Cut(p, "=")
		names = append(names, name)
	}
	return config.Environment{Lookup: environment(pairs...), Names: func() []string { return names }}
}

func resolve(t *testing.T, text string, in config.Inputs) *config.Resolved {
	t.Helper()
	r, err := config.Resolve("ergon.yaml", []byte(text), in)
	require.NoError(t, err)
	return r
}

// wrong is the faults, without the excerpts.
func wrong(t *testing.T, text string, in config.Inputs) []string {
	t.Helper()
	_, err := config.Resolve("ergon.yaml", []byte(text), in)
	var e *config.Error
	require.ErrorAs(t, err, &e)
	var out []string
	for _, f := range e.Faults {
		out = append(out, f.Error())
	}
	return out
}

func TestPrecedence(t *testing.T) {
	flag := []config.Flag{{Name: "--app", Path: "app", Value: "flag"}}
	require.Equal(t, config.DefaultApp, resolve(t, "", config.Inputs{}).Config.App)
	require.Equal(t, "file", resolve(t, twoTasks, config.Inputs{}).Config.App)
	require.Equal(t, "env", resolve(t, twoTasks, config.Inputs{Env: world("ERGON_APP=env")}).Config.App)
	require.Equal(t, "flag", resolve(t, twoTasks, config.Inputs{Env: world("ERGON_APP=env"), Flags: flag}).Config.App)
	require.Equal(t, "flag", resolve(t, "app: ${UNSET}", config.Inputs{Env: world("ERGON_APP=a b"), Flags: flag}).Config.App, "what loses is not looked at")
}

func TestVariablesOfTasks(t *testing.T) {
	c := resolve(t, twoTasks, config.Inputs{Env: world(
		"ERGON_TASKS_SCORE_LATE_CONSUMER_LOOP_CONCURRENCY=9", "ERGON_TASKS_SCORE_CONSUMER_PROCESS_RETRY_TIMEOUT=1m",
		"ERGON_TASKS_SCORE_SOURCE_JETSTREAM_ACK_WAIT=20s", "ERGON_DEAD_LETTERS_MAX_AGE=24h", "ERGON_TASKS_SCORE_SOURCE_TRACE=link",
		"ERGON_TASKS_SCORE_DEAD_LETTERS_SUBJECT=ergon.dlq.s", "ERGON_TELEMETRY_TRACES_RATIO=0.5", "ERGON_PARKING_REPLICAS=3",
	)}).Config
	require.Equal(t, 3, c.Tasks["score"].Consumer.Loop.Concurrency, "an alias is not changed with its copy")
	require.Equal(t, 9, c.Tasks["score-late"].Consumer.Loop.Concurrency)
	require.Equal(t, time.Minute, c.Tasks["score"].Consumer.Process.Retry.Timeout.D())
	require.Equal(t, 30*time.Second, c.Tasks["score-late"].Consumer.Process.Retry.Timeout.D())
	require.Equal(t, 20*time.Second, c.Tasks["score"].Source.JetStream.AckWait)
	require.Equal(t, 7*time.Second, c.Tasks["score-late"].Source.JetStream.AckWait)
	require.Equal(t, 24*time.Hour, c.DeadLetters.MaxAge.D())
	require.Equal(t, 24*time.Hour, c.Tasks["score"].DeadLetters.MaxAge.D())
	require.InDelta(t, .5, *c.Telemetry.Traces.Ratio, 0)
	require.Equal(t, 3, c.Parking.Replicas)

	require.Equal(t, []string{`$ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY: tasks.score.consumer.loop.concurrency: 0 is below 1`},
		wrong(t, "tasks: { score: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { loop: { concurrency: ${UNSET} } } } }",
			config.Inputs{Env: world("ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY=0")}))
}

// Two tasks whose variables have one name, and two keys that have.
func TestAmbiguousVariables(t *testing.T) {
	const text = "tasks:\n  a-b: { source: { jetstream: { stream: S, subjects: [s] } } }\n  a_b: { source: { jetstream: { stream: T, subjects: [t] } } }\n"
	require.NotNil(t, resolve(t, text, config.Inputs{Env: world()}).Config)
	require.Equal(t, []string{"$ERGON_TASKS_A_B_SOURCE_TRACE: it could be of tasks.a-b.source.trace and of tasks.a_b.source.trace, whose variables have the same name: rename one of them, or say it in the file"},
		wrong(t, text, config.Inputs{Env: world("ERGON_TASKS_A_B_SOURCE_TRACE=link")}))
}

func TestUnknownVariables(t *testing.T) {
	for pair, want := range map[string]string{
		"ERGON_BUS_ULR=x":          "unknown variable, did you mean ERGON_BUS_URL?",
		"ERGON_AP=x":               "unknown variable, did you mean ERGON_APP?",
		"ERGON_BUS_PASSWORDFILE=x": "unknown variable, did you mean ERGON_BUS_PASSWORD_FILE?",
		"ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURENCY=1":  "unknown variable, did you mean ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY?",
		"ERGON_TASKS_SCOER_CONSUMER_LOOP_CONCURRENCY=1": "unknown variable, did you mean ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY?",
		"ERGON_TASKS_OTHER_LOOP=1":                      "unknown variable: no task of the file begins so; they are score, score-late",
		"ERGON_TELEMETRY_SENSITIVE=x":                   "no variable stands for telemetry.sensitive, which is a list or a group of names: say it in the file, where ${NAME} stands for a value",
		"ERGON_STREAMS_S_MAX_AGE=1h":                    "no variable stands for streams, which is a list or a group of names: say it in the file, where ${NAME} stands for a value",
		"ERGON_TELEMETRY_OTLP_HEADERS=a=b":              "no variable stands for telemetry.otlp.headers, which is a group of names: set ERGON_TELEMETRY_OTLP_HEADERS_FILE to the name of a file with a line for each, name: value",
		"ERGON_ZZZZZZZZZZZZ=x":                          "unknown variable: ergon config schema and docs/reference/configuration.md have the keys, of which each has one; unset it if it is not meant for Ergon",
	} {
		name, _, _ := strings.Cut(pair, "=")
		require.Equal(t, []string{"$" + name + ": " + want}, wrong(t, twoTasks, config.Inputs{Env: world(pair)}), pair)
	}
	// Not ours, empty, named by the file, or not looked for.
	resolve(t, twoTasks+"bus: { name: ${ERGON_REGION:-eu} }\n", config.Inputs{Env: world("ERGON_REGION=us", "ERGON_ULR=", "PATH=x", "ERGONOMIC=1",
		"ERGON_SERVICE_HOST=10.0.0.1", "ERGON_PORT=tcp://10.0.0.1:9400", "ERGON_PORT_9400_TCP_ADDR=10.0.0.1", "ERGON_ADMIN_SERVICE_PORT_HTTP=9400", "ERGON_TEST_HOLD_STORE=x")})
	resolve(t, twoTasks, config.Inputs{Env: config.Environment{Lookup: environment("ERGON_ULR=x")}})
	// Without a file there are no tasks, and in an empty one neither.
	noTasks := config.Inputs{Env: world("ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY=1")}
	_, err := config.Resolve("", nil, noTasks)
	require.EqualError(t, err, "$ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY: it is a task's, and there is no file that names the task: name the file with -f, or unset the variable")
	require.Equal(t, []string{"$ERGON_TASKS_SCORE_CONSUMER_LOOP_CONCURRENCY: unknown variable: the file names no task"}, wrong(t, "", noTasks))
}

// The rule, and that no variable is taken for one of Kubernetes'.
func TestVariableNames(t *testing.T) {
	names := map[string]string{}
	for _, v := range config.Variables([]string{"score-it"}, nil) {
		require.NotContains(t, names, v.Name)
		names[v.Name] = v.Path
		require.Regexp(t, `^ERGON_[A-Z0-9_]+$`, v.Name)
		require.NotRegexp(t, `_PORT$|_SERVICE_`, v.Name)
		if !v.File {
			require.Equal(t, "ERGON_"+strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(v.Path)), v.Name)
		}
	}
	require.Equal(t, "tasks.score-it.consumer.loop.concurrency", names["ERGON_TASKS_SCORE_IT_CONSUMER_LOOP_CONCURRENCY"])
	require.Equal(t, "bus.password", names["ERGON_BUS_PASSWORD_FILE"])
	for _, o := range config.Overrides() {
		require.Equal(t, o.Path, names[o.Var])
	}
}

// A secret does not belong on a command line, and a flag knows its key.
func TestFlags(t *testing.T) {
	set := func(path, value string) config.Inputs {
		return config.Inputs{Flags: []config.Flag{{Name: "--set", Path: path, Value: value}}}
	}
	require.Equal(t, 7, resolve(t, twoTasks, set("tasks.score.consumer.loop.concurrency", "7")).Config.Tasks["score"].Consumer.Loop.Concurrency)
	require.Equal(t, []string{`app: "a b" is not the name of an application: it is 1 to 64 letters, digits, dots, dashes and underscores (--set)`}, wrong(t, "", set("app", "a b")))
	require.Equal(t, []string{`bus.ulr: unknown key "ulr", did you mean "url"? (--set)`}, wrong(t, "", set("bus.ulr", "nats://h")))
	out := wrong(t, "", set("bus.password", "hunter2"))
	require.Equal(t, []string{"bus.password: a command line can be read by others, and this is a secret: set ERGON_BUS_PASSWORD, or ERGON_BUS_PASSWORD_FILE to the name of a file with it (--set)"}, out)
}

// A lookup that has a value for what is not set is not believed.
func TestUnsetVariables(t *testing.T) {
	env := config.Environment{Lookup: func(string) (string, bool) { return "nonsense", false }}
	require.Equal(t, config.Default(), *resolve(t, "", config.Inputs{Env: env}).Config)
}
