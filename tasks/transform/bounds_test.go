package transform_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/tasks/transform"
)

// The bound on the cost says what it is.
func TestCostLimit(t *testing.T) {
	t.Parallel()
	const expr = "payload.exists(x, payload.exists(y, payload.exists(z, x + y + z == 7)))"
	payload := "[1" + strings.Repeat(",1", 300) + "]"
	_, err := run(t.Context(), compile(t, transform.Spec{Filter: expr}), payload)
	require.Equal(t, "filter: it costs more than 200000 with this payload, and was ended: make it simpler, or raise max_cost", reason(t, err))

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = run(ctx, compile(t, transform.Spec{Filter: expr, MaxCost: 1 << 60}), payload)
	require.Equal(t, ergon.CategoryTimeout, ergon.CategoryOf(err), "another attempt may have more time: %v", err)
}

// Payloads of a megabyte, and expressions that would take minutes or all memory
// with them: none does, whatever CEL itself charges for a call.
func TestBounds(t *testing.T) {
	t.Parallel()
	list := "[" + strings.Repeat(`{"a":[1,2,3],"b":"xxxxxxxxxx"},`, 20_000) + "1]"
	text := `"` + strings.Repeat("ab", 400_000) + `"`
	for _, c := range [][2]string{
		{"payload.exists(x, payload == payload && false)", list},
		{"payload.exists(x, {'a': payload} != {'a': payload})", list},
		{"payload.map(x, payload).flatten() == []", list},
		{"payload.map(x, payload.map(y, y)) == []", list},
		{"sets.intersects(payload, payload)", list},
		{"sets.equivalent(payload, payload)", list},
		{"payload.distinct() == []", list},
		{"payload.exists(x, 7 in payload)", list},
		{"lists.range(10000).exists(x, [payload, 1] in [[payload, 2]])", list},
		{"payload.exists(x, payload.reverse() == [])", list},
		{"payload.exists(x, payload.slice(0, 20000) == [])", list},
		{"lists.range(10000).exists(x, '%s'.format([payload]) == '')", list},
		{"payload.replace('a', payload) == ''", text},
		{"payload.replace('', payload) == ''", text},
		{"payload.split('').join(payload) == ''", text},
		{"[payload, payload, payload].map(x, x.replace('a', 'xxxxxxxxxxxxxxxxxxxxxxxxx')) == []", text},
		{"payload.split('').sort().distinct() == []", text},
		{"lists.range(10000).map(x, lists.range(10000)) == []", text},
		{"lists.range(10000).exists(x, payload.reverse() == 'c')", text},
		{"lists.range(10000).exists(x, payload + payload == 'c')", text},
		{"lists.range(10000).exists(x, size(payload) == 1)", text},
		{"lists.range(10000).exists(x, payload < payload)", text},
		{"lists.range(10000).exists(x, base64.encode(bytes(payload)) == '')", text},
		{"lists.range(10000).exists(x, payload.matches('(a|b)*c'))", text},
		{"lists.range(10000).exists(x, regex.extractAll(payload, 'a(.)') == [])", text},
		{"lists.range(1000000000) == []", text},
	} {
		task := compile(t, transform.Spec{Filter: c[0]})
		began := time.Now()
		outputs, err := run(t.Context(), task, c[1])
		require.Less(t, time.Since(began), 10*time.Second, c[0])
		require.ErrorIs(t, err, ergon.CategoryBusiness, c[0])
		require.Empty(t, outputs)
	}
}

// What is bounded still does what it should.
func TestGuardedFunctions(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"'a,b,c'.replace(',', ';')":               `"a;b;c"`,
		"'a,b,c'.replace(',', ';', 1)":            `"a;b,c"`,
		"'ab'.replace('', '-')":                   `"-a-b-"`,
		"['a', 'b'].join()":                       `"ab"`,
		"['a', 'b'].join('-')":                    `"a-b"`,
		"payload.l.join('-')":                     `"x-y"`,
		"payload.s.replace('s', payload.s + 's')": `"ss"`,
		"[1, 1, 2].distinct()":                    `[1,2]`,
		"sets.contains([1, 2], [1])":              `true`,
		"base64.encode(b'abc')":                   `"YWJj"`,
		"regex.extract('a-12', '[0-9]+')":         `"12"`,
	} {
		require.Equal(t, `{"v":`+want+"}", eval(t, expr, `{"l":["x","y"],"s":"s"}`), expr)
	}
	require.Equal(t, "map.v: the types do not fit join(list, string): convert one side, with int(…), double(…) or string(…) (at 1:15)", eval(t, "payload.l.join('-')", `{"l":[1]}`))
	for _, gone := range []string{"regex.replace('a', 'b', 'c')", "json.parse('1')", "yaml.parse('1')"} {
		_, err := transform.Compile(transform.Spec{Filter: gone + " == ''", Routes: []string{"out"}})
		require.ErrorContains(t, err, "undeclared reference", gone)
	}
}

// A result that is small to compute and long to write is not written.
func TestSentIsBounded(t *testing.T) {
	t.Parallel()
	expr := "x"
	for range 30 {
		expr = "cel.bind(x, [x, x], " + expr + ")"
	}
	require.Equal(t, "map.v: what is sent would be longer than 8388608 bytes", eval(t, "cel.bind(x, [payload, payload], "+expr+")", `{"a":1}`))
}
