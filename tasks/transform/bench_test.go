package transform_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/tasks/transform"
)

// BenchmarkProcess is what docs/how-to/tasks-without-go.md says that a transaction
// costs: five expressions, one, and the decoding before them.
func BenchmarkProcess(b *testing.B) {
	task := compile(b, transform.Spec{
		FailIf: []transform.Rule{{When: "payload.quantity <= 0", Message: `"quantity " + string(payload.quantity) + " is not positive"`}},
		Filter: "!payload.invoice.startsWith('C')",
		Map:    map[string]string{"invoice": "payload.invoice", "pence": "int(payload.price * 100.0 + 0.5) * payload.quantity"},
		Key:    "payload.invoice",
	})
	const data = `{"invoice":"536365","stock_code":"85123A","quantity":6,"price":2.55,"country":"United Kingdom"}`
	var p transform.Payload
	require.NoError(b, task.Codec().Unmarshal([]byte(data), &p))
	tx := ergon.New(p)
	b.Run("eval", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := task.Process(b.Context(), tx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p transform.Payload
			if err := task.Codec().Unmarshal([]byte(data), &p); err != nil {
				b.Fatal(err)
			}
		}
	})
	filter := compile(b, transform.Spec{Filter: "!payload.invoice.startsWith('C')"})
	b.Run("filter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := filter.Process(b.Context(), tx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
