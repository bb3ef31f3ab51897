package transform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/tasks/transform"
)

// All faults at once, each with its place and what to do.
func TestFaults(t *testing.T) {
	t.Parallel()
	const known = ": there are payload, metadata, id, source, key and created_at; a field is payload.NAME, a text stands in quotes"
	const convert = ": check the types, and convert with int(…), double(…) or string(…)"
	_, err := transform.Compile(transform.Spec{
		Filter: "payloadd.x > 1",
		FailIf: []transform.Rule{{When: "1", Message: "'a' + 1"}, {When: "payload.x"}},
		Map:    map[string]string{"x": "payload.x +", "y": "'a' * 2", "z": " ", "w": "now()", "d": "duration('x')"},
		Route:  "payload.x ?\n 'c' : payload.y ? 'a' : 'a'",
		Key:    "1",
		Routes: []string{"a", "b"},
	})
	var faults transform.Faults
	require.ErrorAs(t, err, &faults)
	require.Equal(t, []string{
		"filter (at 1:1): undeclared reference to 'payloadd'" + known,
		"fail_if[0].when (at 1:1): its result is int, and bool is expected: compare with something",
		"fail_if[0].message (at 1:5): found no matching overload for '+' applied to '(string, int)'" + convert,
		"fail_if[1].message: an expression is required",
		"map.d (at 1:10): invalid duration argument",
		"map.w (at 1:4): undeclared reference to 'now'" + known,
		"map.x (at 1:12): the expression ends too early: something is missing here",
		"map.y (at 1:5): found no matching overload for '*' applied to '(string, int)'" + convert,
		"map.z: an expression is required",
		"key (at 1:1): its result is int, and string is expected: write string(…)",
		`route (at 2:2): the task has no route "c": it has "a", "b"`,
		`route: it never names the route "b": name it, or remove it from the task's routes`,
	}, strings.Split(err.Error(), "\n"))
	require.True(t, faults[3].Missing)
}

func TestRoutesAtStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		route  string
		routes []string
		want   string
	}{
		{"", []string{"a"}, ""},
		{"", nil, "routes: there is no route to send on: add routes to the task"},
		{"", []string{"a", "b"}, `route: there is more than one route ("a", "b"): say which, as in payload.ok ? "a" : "b"`},
		{"'a'", []string{"a"}, ""},
		{"payload.x", []string{"a", "b"}, ""},
		{"payload.x ? 'a' : payload.y", []string{"a", "b"}, ""},
		{"payload.x ? 'c' : payload.y", []string{"a", "b"}, `route (at 1:13): the task has no route "c": it has "a", "b"`},
		{"1 + 1", []string{"a"}, "route (at 1:3): its result is int, and string is expected: write string(…)"},
	} {
		_, err := transform.Compile(transform.Spec{Route: c.route, Routes: c.routes})
		if c.want == "" {
			require.NoError(t, err, c.route)
			continue
		}
		require.EqualError(t, err, strings.Replace(c.want, "at 1:3", "at 1:1", 1), c.route)
	}
}

// Whatever the expression: no panic; faults have a path and a place that is in it.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"payload.a.?b.orValue(1) + 1.5", "payload.map(k, payload[k])", "{'a': [1, 2u, b'x']}.a[0]", "has(payload.a) && 'x' in payload",
		"'%s'.format([payload])", "cel.bind(x, payload, x == x)", "created_at + duration('1h') > timestamp(payload.t)", "payload.a ? 'out' : 'x'",
		"[1, [2]].flatten()", "regex.extract(payload.a, 'a(b)')", "base64.encode(b'x')", "sets.contains([1], payload.l)", "math.greatest(payload.l)", "(((", "\n\n!",
	} {
		f.Add(seed, `{"a":"ab","l":[1,2,{}],"t":"2026-01-01T00:00:00Z"}`)
	}
	f.Fuzz(func(t *testing.T, expr, payload string) {
		task, err := transform.Compile(transform.Spec{Map: map[string]string{"v": expr}, Routes: []string{"out"}, MaxCost: 10_000})
		if err != nil {
			faults, ok := errors.AsType[transform.Faults](err)
			require.True(t, ok)
			for _, fault := range faults {
				require.Equal(t, []string{"map", "v"}, fault.Path)
				require.NotEmpty(t, fault.Message)
				require.Equal(t, fault.Line > 0, fault.Column > 0)
				require.LessOrEqual(t, fault.Line, strings.Count(expr, "\n")+1)
			}
			return
		}
		checkRun(t, task, payload)
	})
}
