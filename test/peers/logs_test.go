package peers

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ergon-framework/ergon/bus"
)

// What is logged of a transaction, by Ergon or by the task, says which one it is of, in
// which trace, and which span of it: so a log leads to the trace and back, over both
// hops. There are few failures here, for lines that repeat are thinned out.
func TestLogsLeadToTraces(t *testing.T) {
	const each = 2
	c, w := startCollector(t), newWorld(t)
	for i := range each {
		w.publish(t,
			sent{id: fmt.Sprintf("good-%d", i), invoice: "700001", stock: "22041"},
			sent{id: fmt.Sprintf("bad-%d", i), invoice: "700002", quantity: -1},
			sent{id: fmt.Sprintf("flaky-%d", i), invoice: "700003", stock: "FLAKY"},
			sent{id: fmt.Sprintf("refused-%d", i), invoice: "700004", stock: "REFUSED"})
	}
	retail, books := w.retail(t, c.env()), w.books(t, c.env())
	w.await(t, 2*each, "BOOKED", "books.booked", retail, books)
	w.await(t, each, bus.DefaultDeadStream, "ergon.dlq.score", retail, books)
	w.await(t, each, bus.DefaultDeadStream, "ergon.dlq.book", retail, books)
	retail.stop(t)
	books.stop(t)

	spans := map[string]span{}
	for _, s := range c.spans(t) {
		spans[s.SpanID().String()] = s
	}
	type line struct {
		task, phase, attempt string
		severity             plog.SeverityNumber
	}
	lines := map[line]int{}
	failed := map[string]string{} // the trace of a transaction that failed for good
	for _, r := range c.records(t) {
		id := r.attr("transaction")
		if id == "" {
			continue // of the process
		}
		s, ok := spans[r.SpanID().String()]
		require.True(t, ok, "there is no span %s of: %s", r.SpanID(), r.Body().AsString())
		require.Equal(t, s.TraceID(), r.TraceID())
		l := line{r.attr("task"), r.attr("phase"), r.attr("attempt"), r.SeverityNumber()}
		lines[l]++
		switch l.severity {
		case plog.SeverityNumberError:
			failed[id] = r.TraceID().String()
		case plog.SeverityNumberInfo: // the task's own, in its attempt
			require.Equal(t, "the ledger answers again", r.Body().AsString())
			require.Equal(t, "700003", r.attr("invoice"))
			require.Equal(t, "process.attempt.3", s.Name())
		}
	}
	require.Equal(t, map[line]int{
		{"score", "process", "1", plog.SeverityNumberError}: each, // failed for good
		{"book", "process", "1", plog.SeverityNumberError}:  each,
		{"book", "process", "1", plog.SeverityNumberWarn}:   each, // failed, and tried again
		{"book", "process", "2", plog.SeverityNumberWarn}:   each,
		{"book", "process", "3", plog.SeverityNumberInfo}:   each,
	}, lines)
	for _, task := range []string{"score", "book"} {
		letters := w.dead(t, task)
		require.Len(t, letters, each)
		for id, h := range letters {
			require.Equal(t, []string{failed[id]}, h["Ergon-Dead-Trace-Id"], id)
		}
	}
}
