package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/app/config"
	"github.com/ergon-framework/ergon/tasks/transform"
)

const scoring = `
tasks:
  score:
    use: transform
    transform:
      filter: "!payload.invoice.startsWith('C')"
      fail_if:
        - { when: payload.quantity <= 0, message: "'quantity ' + string(payload.quantity)" }
        - when: payload.price > ${LIMIT:-100}.0
          message: "'price $${'"
      map: { invoice: payload.invoice, one: 1 }
      route: |
        payload.big
          ? 'big' : 'small'
      key: payload.invoice
      max_cost: 1000
    source: { jetstream: { stream: S, subjects: [s] } }
    routes:
      big: { jetstream: { stream: O, subject: o.big } }
      small: { jetstream: { stream: O, subject: o.small } }
`

func TestTransform(t *testing.T) {
	c := parse(t, scoring)
	task := c.Tasks["score"]
	require.Equal(t, config.UseTransform, task.Use)
	require.Equal(t, transform.Spec{
		Filter: "!payload.invoice.startsWith('C')",
		FailIf: []transform.Rule{
			{When: "payload.quantity <= 0", Message: "'quantity ' + string(payload.quantity)"},
			{When: "payload.price > 100.0", Message: "'price ${'"},
		},
		Map:   map[string]string{"invoice": "payload.invoice", "one": "1"},
		Route: "payload.big\n  ? 'big' : 'small'\n", Key: "payload.invoice", MaxCost: 1000, Routes: []string{"big", "small"},
	}, task.Transform.Spec(task.RouteNames()))
	checkRoundTrip(t, c)
	checkRoundTrip(t, parse(t, `tasks: { t: { use: transform, transform: {}, source: { jetstream: { stream: S, subjects: [s] } }, routes: { r: { jetstream: { stream: O, subject: o } } } } }`))
}

// Faults of expressions are among the file's others, each where it stands: in a
// plain text, in quotes, in a block; at the text where the file has it in another
// form.
func TestTransformFaults(t *testing.T) {
	got := faults(t, `
tasks:
  a:
    use: transform
    source: { jetstream: { stream: S, subjects: [s] } }
    routes:
      scored: { jetstream: { stream: O, subject: o.scored } }
      other: { jetstream: { stream: O, subject: o.other } }
    transform:
      fail_if:
        - when: payload.quantity
          message: '"quantity " + payload.quantity + 1'
        - when: payloadd.quantity <= 0
      filter: "!payload.invoice.startsWith(1)"
      map: { invoice: payload.invoice +, nothing: , escaped: "\"é\" + 1", variable: "${V} + 'a'" }
      route: |
        payload.invoice.startsWith('C')
          ? 'cancelled' : 'scored'
      key: >
        'a'
        + 1
      max_cots: 3
      max_cost: -1
  b:
    use: transfrom
    source: { jetstream: { stream: S, subjects: [s] } }
  c:
    transform: {}
    source: { jetstream: { stream: S, subjects: [s] } }
  d:
    use: transform
    source: { jetstream: { stream: S, subjects: [s] } }
  e:
    use: transform
    transform: { map: { a: { b: 1 }, d: true } }
    source: { jetstream: { stream: S, subjects: [s] } }
`, "V=1")
	const convert = "check the types, and convert with int(…), double(…) or string(…)"
	require.Equal(t, []string{
		"12:52: tasks.a.transform.fail_if[0].message: at 1:32 of the expression: found no matching overload for '+' applied to '(string, int)': " + convert,
		"13:11: tasks.a.transform.fail_if[1].message: an expression is required",
		"13:17: tasks.a.transform.fail_if[1].when: at 1:1 of the expression: undeclared reference to 'payloadd': there are payload, metadata, id, source, key and created_at; a field is payload.NAME, a text stands in quotes",
		"14:43: tasks.a.transform.filter: at 1:28 of the expression: found no matching overload for 'startsWith' applied to 'dyn.(int)': " + convert,
		"15:40: tasks.a.transform.map.invoice: at 1:18 of the expression: the expression ends too early: something is missing here",
		"15:42: tasks.a.transform.map.nothing: an expression is required",
		"15:62: tasks.a.transform.map.escaped: at 1:5 of the expression: found no matching overload for '+' applied to '(string, int)': " + convert,
		"15:85: tasks.a.transform.map.variable: at 1:3 of the expression: found no matching overload for '+' applied to '(int, string)': " + convert,
		`16:14: tasks.a.transform.route: it never names the route "other": name it, or remove it from the task's routes`,
		`18:13: tasks.a.transform.route: at 2:5 of the expression: the task has no route "cancelled": it has "other", "scored"`,
		"19:12: tasks.a.transform.key: at 1:5 of the expression: found no matching overload for '+' applied to '(string, int)': " + convert,
		`22:7: tasks.a.transform.max_cots: unknown key "max_cots", did you mean "max_cost"?`,
		"23:17: tasks.a.transform.max_cost: -1 is below 0",
		`25:10: tasks.b.use: "transfrom" is not known here: there is transform (did you mean "transform"?); leave use out for a task that a module provides`,
		"28:5: tasks.c.transform: this is for a task of expressions: write use: transform beside it, or remove it",
		"30:3: tasks.d.transform: the expressions are required: write transform: { filter: …, map: { … } }",
		"33:3: tasks.e.routes: there is no route to send on: add routes to the task",
		"35:25: tasks.e.transform.map.a: text is expected, and this is a group of keys",
		"35:41: tasks.e.transform.map.d: true is not text: put it in quotes if it is meant so",
	}, got)

	_, err := config.Parse("ergon.yaml", []byte(strings.Replace(scoring, "payload.big\n", "payload.big +\n", 1)), none)
	require.ErrorContains(t, err, "          ? 'big' : 'small'\n              ^")

	c := parse(t, scoring)
	c.Tasks["score"].Transform.Filter = "1"
	require.EqualError(t, c.Validate(), "tasks.score.transform.filter: at 1:1 of the expression: its result is int, and bool is expected: compare with something")
}
