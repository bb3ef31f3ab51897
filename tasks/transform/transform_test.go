package transform_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/tasks/transform"
)

var created = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func compile(t testing.TB, s transform.Spec) *transform.Transform {
	t.Helper()
	if s.Routes == nil {
		s.Routes = []string{"out"}
	}
	task, err := transform.Compile(s)
	require.NoError(t, err)
	return task
}

// run gives a transaction to the task as the engine does.
func run(ctx context.Context, task *transform.Transform, payload string, opts ...ergon.Option) (ergon.Outputs, error) {
	var p transform.Payload
	if err := task.Codec().Unmarshal([]byte(payload), &p); err != nil {
		return nil, err
	}
	opts = append([]ergon.Option{ergon.WithID("lines.csv:42"), ergon.WithSource("/files"), ergon.WithKey("k"), ergon.WithCreatedAt(created),
		ergon.WithMetadata("tenant", "acme"), ergon.WithMetadata("tenant", "second"), ergon.WithMetadata("channel", "web")}, opts...)
	return task.Process(ctx, ergon.New(p, opts...))
}

func sent(t testing.TB, task *transform.Transform, o ergon.Output) string {
	t.Helper()
	data, err := task.Codec().Marshal(o.Payload)
	require.NoError(t, err)
	return string(data)
}

func reason(t testing.TB, err error) string {
	t.Helper()
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	e, ok := errors.AsType[*ergon.Error](err)
	require.True(t, ok)
	return e.Reason()
}

// eval is one expression, as the field v of what is sent.
func eval(t testing.TB, expr, payload string) string {
	t.Helper()
	task := compile(t, transform.Spec{Map: map[string]string{"v": expr}})
	outputs, err := run(t.Context(), task, payload)
	if err != nil {
		return reason(t, err)
	}
	return sent(t, task, outputs[0])
}

// The filter comes first, then the rules in their order, then what is sent.
func TestProcess(t *testing.T) {
	t.Parallel()
	task := compile(t, transform.Spec{
		Filter: "payload.kind != 'test'",
		FailIf: []transform.Rule{
			{When: "payload.quantity <= 0", Message: `"quantity " + string(payload.quantity) + " is not positive"`},
			{When: "payload.price <= 0.0", Message: `"price " + string(payload.price) + " is not positive"`},
		},
		Map:    map[string]string{"pence": "int(payload.price * 100.0 + 0.5) * payload.quantity", "id": "id", "note": "payload.?note"},
		Route:  "payload.kind == 'c' ? 'cancelled' : payload.?route.orValue('scored')",
		Key:    "payload.kind + key",
		Routes: []string{"scored", "cancelled"},
	})
	require.Equal(t, []string{"scored", "cancelled"}, task.Routes())
	for _, c := range []struct{ payload, route, key, sent, fails string }{
		{`{"kind":"s","quantity":6,"price":2.55}`, "scored", "sk", `{"id":"lines.csv:42","pence":1530}`, ""},
		{`{"kind":"c","quantity":6,"price":2,"note":null}`, "cancelled", "ck", `{"id":"lines.csv:42","note":null,"pence":1200}`, ""},
		{`{"kind":"test"}`, "", "", "", ""},
		{`{"kind":"s","quantity":0,"price":0}`, "", "", "", "quantity 0 is not positive"},
		{`{"kind":"s","quantity":1,"price":-1.5}`, "", "", "", "price -1.5 is not positive"},
		{`{"kind":"s","price":0}`, "", "", "", "fail_if[0].when: payload.quantity is missing: test has(payload.quantity), or write payload.?quantity.orValue(…) (at 1:8)"},
		{`{"kind":"s","quantity":1,"price":1,"route":"nowhere"}`, "", "", "", `route: the task has no route "nowhere": it has "scored", "cancelled"`},
		{`{"kind":"s","quantity":1,"price":1,"route":7}`, "", "", "", `route: its result is an int, and a string is expected: write string(…)`},
		{`{"kind":7,"quantity":1,"price":1}`, "", "", "", `key: the types do not fit +: convert one side, with int(…), double(…) or string(…) (at 1:14)`},
	} {
		outputs, err := run(t.Context(), task, c.payload)
		if c.fails != "" {
			require.Equal(t, c.fails, reason(t, err), c.payload)
			continue
		}
		require.NoError(t, err, c.payload)
		if c.route == "" {
			require.Empty(t, outputs)
			continue
		}
		require.Len(t, outputs, 1)
		require.Equal(t, c.route, outputs[0].Route)
		require.Equal(t, c.key, outputs[0].Key)
		require.Equal(t, c.sent, sent(t, task, outputs[0]))
	}
}

// Without a map the payload goes on byte for byte.
func TestPayloadPassesOn(t *testing.T) {
	t.Parallel()
	task := compile(t, transform.Spec{Filter: "has(payload.b)"})
	const payload = ` { "b" : 1.50 , "a": 123456789012345678901234567890, "a":"\u00e9<" } `
	outputs, err := run(t.Context(), task, payload)
	require.NoError(t, err)
	require.Equal(t, payload, sent(t, task, outputs[0]))
	require.Equal(t, "out", outputs[0].Route)
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expr, payload, want string }{
		// numbers survive, or say why not
		{"payload.a", `{"a":9007199254740993}`, "9007199254740993"},
		{"payload.a + 1", `{"a":9007199254740993}`, "9007199254740994"},
		{"payload.a", `{"a":-9223372036854775808}`, "-9223372036854775808"},
		{"payload.a", `{"a":18446744073709551615}`, "18446744073709551615"},
		{"payload.a", `{"a":18446744073709551616}`, "!the number 18446744073709551616 does not fit into 64 bits: send it as text, or pass on whole the object that it is in"},
		{"payload", `{"a":[18446744073709551616,1.50,1e2]}`, `{"a":[18446744073709551616,1.50,1e2]}`},
		{"payload.a", `{"a":1.50}`, "1.5"},
		{"payload.a", `{"a":2.0}`, "2.0"},
		{"payload.a", `{"a":1e2}`, "100.0"},
		{"payload.a", `{"a":1e300}`, "1e+300"},
		{"payload.a", `{"a":0.1}`, "0.1"},
		{"payload.a", `{"a":3.14159265358979323846}`, "!the number 3.14159265358979323846 has more digits than a double holds: send it as text, or pass on whole the object that it is in"},
		{"payload.a", `{"a":1e999}`, "!the number 1e999 does not fit into a double: send it as text"},
		{"payload.a * 2.5 + 1 - 1u", `{"a":3}`, "7.5"},
		{"payload.a * 2", `{"a":3.5}`, "7.0"},
		{"2 * 2.5", `{}`, "5.0"},
		{"payload.a * 0.5", `{"a":9007199254740993}`, "!9007199254740993 is too large to be a double exactly: write double(…) if it may be rounded (at 1:11)"},
		{"payload.a * 0.5", `{"a":18446744073709551615}`, "!18446744073709551615 is too large to be a double exactly: write double(…) if it may be rounded (at 1:11)"},
		{"payload.a + 1", `{"a":9223372036854775807}`, "!integer overflow (at 1:11)"},
		{"1 / payload.a", `{"a":0}`, "!division by zero (at 1:3)"},
		{"1.0 / payload.a", `{"a":0}`, "!its result is +Inf, which JSON does not have"},
		{"math.round(double(payload.a) * 100.0)", `{"a":"2.55"}`, "255.0"},
		// the rest of JSON
		{"payload.a", `{"a":"x\u0001\"é<\u2028"}`, `"x\u0001\"é<\u2028"`},
		{"[payload.a, payload.b, null, true]", `{"a":[1,{"z":1,"y":{}}],"b":null}`, `[[1,{"y":{},"z":1}],null,null,true]`},
		{"created_at", `{}`, `"2026-03-04T05:06:07Z"`},
		{"created_at - duration('90m')", `{}`, `"2026-03-04T03:36:07Z"`},
		{"created_at.getHours()", `{}`, "5"},
		{"duration('90s')", `{}`, `"90s"`},
		{"b'abc'", `{}`, `"YWJj"`},
		{"id + source + key + metadata.tenant + metadata['channel']", `{}`, `"lines.csv:42/fileskacmeweb"`},
		{"{1: 2}", `{}`, "!a map has a key that is an int: an object of JSON has texts, write string(…)"},
		{"type(1)", `{}`, "!its result is a type, which JSON does not have: make a text of it"},
		{"[payload.?a]", `{"a":1}`, "!its result is an optional value, which JSON does not have: make a text of it"},
		// maps have an order, whatever made them
		{"payload.map(k, k)", `{"c":1,"a":1,"b":1,"d":1,"e":1}`, `["a","b","c","d","e"]`},
		{"{'b': 1, 'a': 2, 'd': 3, 'c': 4}.map(k, k)", `{}`, `["a","b","c","d"]`},
		{"{'b': payload.a, 'a': 2, 'd': 3, 'c': 4}.map(k, k)", `{"a":1}`, `["a","b","c","d"]`},
		{"{3: 1, 1: 2, 20: 3, 2u: 4}.map(k, k)", `{}`, `[1,2,3,20]`},
		{"metadata.map(k, k)", `{}`, `["channel","tenant"]`},
		{"payload == {'a': 1.0}", `{"a":1}`, "true"},
		{"{'a': 1}[payload.k]", `{"k":"a"}`, "1"},
		// what is missing is named
		{"payload.a.b.c", `{"a":{"b":{}}}`, "!payload.a.b.c is missing: test has(payload.a.b.c), or write payload.a.b.?c.orValue(…) (at 1:12)"},
		{"payload['a'].b.c", `{"a":{}}`, "!payload.a.b is missing: test has(payload.a.b), or write payload.a.?b.orValue(…) (at 1:15)"},
		{"payload.a.b", `{"a":"text"}`, `!payload.a is a string, and has no field "b" (at 1:10)`},
		{"payload.a", `[]`, `!payload is a list, and has no field "a" (at 1:8)`},
		{"payload.l.a.b", `{"l":[1]}`, `!payload.l is a list, and has no field "a" (at 1:12)`},
		{"metadata['x-y']", `{}`, `!metadata has no "x-y": write metadata[?"x-y"].orValue(…) (at 1:9)`},
		{"payload[payload.k]", `{"k":"x"}`, `!"x" is missing (at 1:8)`},
		{"payload.?a.orValue(7)", `{}`, "7"},
		{"has(payload.a) ? payload.a : 7", `{}`, "7"},
		{"payload.l[3]", `{"l":[1]}`, "!index out of bounds: 3 (at 1:10)"},
		{"int(payload.a)", `{"a":"x"}`, "!type conversion error from 'string' to 'int' (at 1:4)"},
		{"int(payload.a)", `{"a":null}`, "!the types do not fit int(null_type): convert one side, with int(…), double(…) or string(…) (at 1:4)"},
	} {
		want, fails := strings.CutPrefix(c.want, "!")
		if want = `{"v":` + want + "}"; fails {
			want = "map.v: " + c.want[1:]
		}
		for range 5 {
			require.Equal(t, want, eval(t, c.expr, c.payload), "%s of %s", c.expr, c.payload)
		}
	}
}

func TestUndecodable(t *testing.T) {
	t.Parallel()
	task := compile(t, transform.Spec{})
	for payload, want := range map[string]string{
		"":           "there is nothing",
		" ":          "there is nothing",
		"{":          "unexpected EOF",
		"{} {}":      "more follows the JSON value",
		"{}]":        "more follows the JSON value",
		"01":         "more follows the JSON value",
		`{"a":nope}`: "invalid character",
		"a,b,c":      "invalid character",
	} {
		_, err := run(t.Context(), task, payload)
		require.ErrorContains(t, err, want, "%q", payload)
	}
	require.Error(t, task.Codec().Unmarshal([]byte("1"), new(int)))
	_, err := task.Codec().Marshal(1)
	require.Error(t, err)
}

// One Transform serves all workers, and each of its attempts gives the same.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	task := compile(t, transform.Spec{
		FailIf: []transform.Rule{{When: "payload.n % 7 == 0", Message: "'n is ' + string(payload.n)"}},
		Map:    map[string]string{"n": "payload.n", "all": "payload.l.map(x, x * payload.n)", "in": "payload.n in [1, 2, 3]", "meta": "metadata"},
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 200 {
				outputs, err := run(t.Context(), task, fmt.Sprintf(`{"n":%d,"l":[1,2]}`, n))
				if n%7 == 0 {
					if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("n is %d", n)) {
						t.Errorf("%d: %v", n, err)
					}
					continue
				}
				data, _ := task.Codec().Marshal(outputs[0].Payload)
				if want := fmt.Sprintf(`{"all":[%d,%d],"in":%v,"meta":{"channel":"web","tenant":"acme"},"n":%d}`, n, 2*n, n > 0 && n < 4, n); string(data) != want {
					t.Errorf("%s, not %s", data, want)
				}
			}
		})
	}
	wg.Wait()
}
