package peers

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
)

// What is logged of a transaction says which one it is of, in which trace, and which
// span of it: so a log leads to the trace and back, across both hops.
func TestLogsLeadToTraces(t *testing.T) {
	c, w := startCollector(t), newWorld(t)
	w.both(t, c.env())

	spans := map[string]span{}
	for _, s := range c.spans(t) {
		spans[s.SpanID().String()] = s
	}
	failed := map[string]map[string]int{} // ERROR records by task and transaction
	for _, r := range c.records(t) {
		id := r.attr("transaction")
		if id == "" {
			continue // of the process
		}
		task := r.attr("task")
		require.NotEmpty(t, task, r.Body().AsString())
		s, ok := spans[r.SpanID().String()]
		require.True(t, ok, "there is no span %s of: %s", r.SpanID(), r.Body().AsString())
		require.Equal(t, s.TraceID(), r.TraceID())
		if r.SeverityNumber() == plog.SeverityNumberError {
			if failed[task] == nil {
				failed[task] = map[string]int{}
			}
			failed[task][id]++
		}
	}
	for task, want := range map[string]int{"score": mixedBad, "book": mixedNotBooked} {
		require.Len(t, failed[task], want, "%v", failed)
		for id, n := range failed[task] {
			require.Equal(t, 1, n, "%s %s: one final failure, one ERROR", task, id)
		}
	}
	for id := range w.dead(t, "score") {
		require.Contains(t, failed["score"], id)
	}
}
