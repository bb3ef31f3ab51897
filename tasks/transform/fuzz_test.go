package transform_test

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/tasks/transform"
)

// checkRun gives a payload to a task twice: the same comes out, JSON or a BUSINESS
// error that can be read, within a second.
func checkRun(t *testing.T, task *transform.Transform, payload string) {
	began := time.Now()
	outputs, err := run(t.Context(), task, payload)
	again, errAgain := run(t.Context(), task, payload)
	require.Less(t, time.Since(began), 10*time.Second)
	if err != nil {
		require.EqualError(t, errAgain, err.Error())
		require.NotContains(t, err.Error(), "internal error")
		return
	}
	require.NoError(t, errAgain)
	require.Len(t, again, len(outputs))
	for i, o := range outputs {
		data := sent(t, task, o)
		require.True(t, json.Valid([]byte(data)), "%s", data)
		require.Equal(t, data, sent(t, task, again[i]))
		require.Equal(t, o.Route, again[i].Route)
		require.Equal(t, o.Key, again[i].Key)
	}
}

// Whatever the payload: no panic, no loop, and what comes out is a function of what
// went in.
func FuzzPayload(f *testing.F) {
	tasks := []*transform.Transform{
		compile(f, transform.Spec{}),
		compile(f, transform.Spec{
			Filter: "!payload.invoice.startsWith('C')",
			FailIf: []transform.Rule{{When: "payload.quantity <= 0", Message: `"quantity " + string(payload.quantity)`}},
			Map:    map[string]string{"all": "payload", "pence": "int(payload.price * 100.0 + 0.5) * payload.quantity", "o": "payload.?o.?p"},
			Key:    "payload.invoice",
		}),
		compile(f, transform.Spec{Map: map[string]string{"keys": "payload.map(k, k)", "same": "payload == payload", "size": "size(payload)"}}),
		compile(f, transform.Spec{Map: map[string]string{"v": "payload.l.filter(x, type(x) == type(1)).map(x, x * 2 + payload.n / 3)", "s": "'%s'.format([payload.s])"}}),
		compile(f, transform.Spec{Map: map[string]string{"d": "double(payload.a) / double(payload.b)", "t": "timestamp(payload.t) - created_at"}}),
		compile(f, transform.Spec{Filter: "payload.exists(x, payload.exists(y, payload.exists(z, x == y && y == z && false)))", Route: "payload.r"}),
	}
	for _, seed := range []string{
		`{"invoice":"536365","quantity":6,"price":2.55,"o":{"p":1}}`, `[1,2,3]`, `"x"`, `null`, `{"l":[1,2.5,"x",18446744073709551616],"n":2,"s":{"b":1,"a":[]}}`,
		`{"a":1e308,"b":1e-308,"t":"2026-01-01T00:00:00Z"}`, `{"a":-0,"b":"0"}`, `{"":{"":[{}]}}`, `{"invoice":"\ud800","quantity":-1,"price":1e400}`, `[[[[[[[[]]]]]]]]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, task := range tasks {
			checkRun(t, task, payload)
			if _, err := run(t.Context(), task, payload); err != nil && ergon.CategoryOf(err) == ergon.CategoryBusiness {
				require.True(t, utf8.ValidString(err.Error()), "%q", err)
			}
		}
	})
}
