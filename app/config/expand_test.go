package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
)

func TestVariables(t *testing.T) {
	env := []string{"A=x", "EMPTY=", "INJECT=x\nbus: {url: y}  # c", "NEST=${A}", "QUOTE=\"'", "NULL=null", "TRUE=true", "BRACE=a}b"}
	for text, want := range map[string]string{
		"${A}": "x", "a${A}b${A}": "axbx", "${NONE:-y}": "y", "${A:-y}": "x", "${EMPTY:-y}": "y", "a${NONE:-}": "a",
		"$${A}": "${A}", "$$${A}": "$${A}", "$A $": "$A $", "cost$": "cost$", "$$": "$$", "'$${A}-${A}'": "${A}-x",
		`"${A}"`: "x", `'${A}'`: "x", `"${NONE:-\"q\" \u00e9}"`: `"q" é`, `'${NONE:-it''s}'`: "it's", `"a${EMPTY}"`: "a", `"${EMPTY}"`: "",
		"${INJECT}": "x\nbus: {url: y}  # c", "'${INJECT}'": "x\nbus: {url: y}  # c", "${NEST}": "${A}", "${QUOTE}": `"'`, "${BRACE}": "a}b",
		"${NONE:-nats://a:4222,nats://b}": "nats://a:4222,nats://b", "${NONE:-a: b}": "a: b", "${NONE:-a #b}": "a #b", "${NONE:-[x], *y &z !t |}": "[x], *y &z !t |",
		"${NONE:-a:-b}": "a:-b", "${NONE:-?}": "?", "|-\n    ${A}\n    ${NONE:-z}": "x\nz", "${A} # ${UNSET}": "x", "a${A}\n    b": "ax b",
		"${NULL}": "null", "${TRUE}": "true", "${NONE:-~}": "~", "${NONE:- spaced }": " spaced ",
	} {
		c := parse(t, "bus:\n  name: "+text+"\n", env...)
		require.Equal(t, want, c.Bus.Name, "%s", text)
		want := config.Default()
		want.Bus.Name = c.Bus.Name
		require.Equal(t, &want, c, "%s changes nothing else", text)
	}
	// In braces, where the brace of a variable would end the group.
	c := parse(t, "bus: {url: ${U:-nats://a:1,b}, name: a${A}}\nstreams: {S: {subjects: [${A}, \"${A}.b\", ${NONE:-y.>}], max_msgs: ${N:-7}, allow_ttl: ${T}}}", "A=x", "T=true")
	require.Equal(t, "nats://a:1,b", c.Bus.URL)
	require.Equal(t, "ax", c.Bus.Name)
	require.Equal(t, []string{"x", "x.b", "y.>"}, c.Streams["S"].Subjects)
	require.EqualValues(t, 7, c.Streams["S"].MaxMsgs)
	require.True(t, c.Streams["S"].AllowTTL)
}

// Outside quotes a variable keeps the type of what it holds, and in quotes it is text.
func TestVariableTypes(t *testing.T) {
	file := func(value string) string {
		return "tasks: { t: { source: { jetstream: { stream: S, subjects: [s] } }, consumer: { loop: { concurrency: " + value + " } } } }"
	}
	require.Equal(t, 8, parse(t, file("${N:-8}")).Tasks["t"].Consumer.Loop.Concurrency)
	require.Equal(t, 12, parse(t, file("${N:-8}"), "N=12").Tasks["t"].Consumer.Loop.Concurrency)
	require.Equal(t, 256, parse(t, file("${N:-}")).Tasks["t"].Consumer.Loop.Concurrency, "nothing is left out")
	require.Equal(t, []string{`1:101: tasks.t.consumer.loop.concurrency: "8" is not a whole number`}, faults(t, file(`"${N:-8}"`)))
	require.Equal(t, []string{`1:101: tasks.t.consumer.loop.concurrency: "{ a: 1 }" is not a whole number`}, faults(t, file(`${N}`), "N={ a: 1 }"))
}

func TestVariableFaults(t *testing.T) {
	const bad = "what stands between ${ and } is not a variable: write ${NAME} or ${NAME:-default}, or $${ for the text ${"
	for text, want := range map[string][]string{
		"app: ${NO}":             {"1:6: app: variable NO is not set: set it, or write ${NO:-default}"},
		"app: ${A}${B}":          {"1:6: app: variable A is not set: set it, or write ${A:-default}", "1:6: app: variable B is not set: set it, or write ${B:-default}"},
		"app: a${":               {"1:6: app: a \"${\" without its \"}\": close it, or write $${ for the text ${"},
		"app: '${}'":             {"1:6: app: " + bad},
		"app: ${A-B}":            {"1:6: app: " + bad},
		"app: ${1A}":             {"1:6: app: " + bad},
		"app: ${A B}":            {"1:6: app: " + bad},
		"app: ${A:-${B}}":        {"1:6: app: a variable inside of a variable: the default of ${NAME:-default} is plain text"},
		"streams: { ${S}: { } }": {`1:12: streams."${S}": a variable stands for a value, and this is a key: write the name out`},
		"${A}: x":                {`1:1: "${A}": unknown key "${A}", the keys here are app, bus, streams, dead_letters, parking, admin, http, runner, telemetry, services, tasks`},
	} {
		require.Equal(t, want, faults(t, text), "%s", text)
	}
}

func TestOverrides(t *testing.T) {
	var paths []string
	for _, o := range config.Overrides() {
		require.Regexp(t, `^ERGON_[A-Z_]+$`, o.Var)
		require.NotEmpty(t, o.Doc)
		paths = append(paths, o.Path)
	}
	require.Equal(t, []string{
		"bus.url", "bus.context", "bus.name", "bus.creds", "bus.nkey", "bus.user", "bus.password", "bus.token", "bus.ca", "bus.cert",
		"bus.key", "bus.tls_first", "bus.domain", "bus.api_prefix", "bus.inbox_prefix", "bus.connect_timeout", "bus.store", "bus.listen",
		"admin.listen", "admin.token", "admin.pprof", "admin.allow_insecure", "admin.trail",
	}, paths, "every key of bus and admin")
	c := parse(t, "bus: { store: a, listen: b }", "ERGON_BUS_STORE=/c", "ERGON_BUS_LISTEN=off")
	require.Equal(t, "/c", c.Bus.Store)
	require.Equal(t, "off", c.Bus.Listen)
	for _, text := range []string{"", "bus:", "bus: { url: nats://file }", "bus: {name: n}", "bus: { url: ${UNSET} }", "app: x\nbus:\n  url: [wrong]\n"} {
		require.Equal(t, "nats://env", parse(t, text, "ERGON_BUS_URL=nats://env").Bus.URL, text)
	}
	require.Equal(t, "nats://file", parse(t, "bus: { url: nats://file }", "ERGON_BUS_URL=").Bus.URL)
	require.Equal(t, "true", parse(t, "", "ERGON_BUS_URL=true").Bus.URL)
	require.Equal(t, []string{`$ERGON_BUS_URL: bus.url: "http://xxxxx@h/${A}": scheme "http" is unknown: use nats, tls, ws or wss`},
		faults(t, "bus: { url: nats://file }", "ERGON_BUS_URL=http://u:hunter2@h/${A}"))
	require.Equal(t, []string{`1:6: bus: a group of keys (url, context, name, creds, nkey, user, password, token, ca, cert, key, tls_first, domain, api_prefix, inbox_prefix, connect_timeout, store, listen) is expected, and this is a value`},
		faults(t, "bus: x", "ERGON_BUS_URL=nats://env"))
}
