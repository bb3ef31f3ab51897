package peers

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// A trace that a publisher began, its span, and both as a traceparent.
const (
	cameTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	cameSpan  = "00f067aa0ba902b7"
	came      = "00-" + cameTrace + "-" + cameSpan + "-01"
)

// ofTask are the spans below the transaction of a task, and that itself.
func ofTask(t *testing.T, spans []span, task string) map[string]span {
	t.Helper()
	children := map[string][]span{}
	var below func(s span) []span
	below = func(s span) []span {
		all := []span{s}
		for _, c := range children[s.SpanID().String()] {
			if c.Name() != semconv.SpanTransaction { // that is the next hop
				all = append(all, below(c)...)
			}
		}
		return all
	}
	var roots []span
	for _, s := range spans {
		children[s.ParentSpanID().String()] = append(children[s.ParentSpanID().String()], s)
		if s.Name() == semconv.SpanTransaction && s.attr(semconv.AttrTask) == task {
			roots = append(roots, s)
		}
	}
	require.Len(t, roots, 1, "transactions of %s", task)
	return named(t, below(roots[0]))
}

// tree requires that spans are named and below one another as said.
func tree(t *testing.T, spans map[string]span, parents map[string]string) {
	t.Helper()
	require.Len(t, spans, len(parents)+1, "%v", spans)
	for child, parent := range parents {
		require.Contains(t, spans, child)
		require.Contains(t, spans, parent)
		require.Equal(t, spans[parent].SpanID(), spans[child].ParentSpanID(), "%s below %s", child, parent)
		require.LessOrEqual(t, spans[child].StartTimestamp(), spans[child].EndTimestamp(), child)
	}
}

// A transaction's spans are one tree, which continues the publisher's trace, and the
// next task's are below them in the same trace, in another process.
func TestOneTraceOverTwoHops(t *testing.T) {
	c, w := startCollector(t), newWorld(t)
	w.publish(t, sent{id: "line-1", invoice: "700001", stock: "FLAKY", trace: came})
	retail, books := w.retail(t, c.env("OTEL_SERVICE_NAME=retail")), w.books(t, c.env("OTEL_SERVICE_NAME=books"))
	w.await(t, 1, "BOOKED", "books.booked", retail, books)
	retail.stop(t)
	books.stop(t)

	spans := c.trace(t, cameTrace)
	score, book := ofTask(t, spans, "score"), ofTask(t, spans, "book")
	require.Len(t, spans, len(score)+len(book), "every span of the trace belongs to one of them")
	tree(t, score, map[string]string{
		"fetch": "transaction", "fetch.attempt.1": "fetch",
		"process": "transaction", "process.attempt.1": "process",
		"produce": "transaction", "produce.attempt.1": "produce",
	})
	tree(t, book, map[string]string{
		"fetch": "transaction", "fetch.attempt.1": "fetch",
		"process": "transaction", "process.attempt.1": "process", "process.attempt.2": "process", "process.attempt.3": "process",
		"produce": "transaction", "produce.attempt.1": "produce",
		"success": "transaction", "handle_success.attempt.1": "success",
	})
	require.Equal(t, cameSpan, score["transaction"].ParentSpanID().String())
	require.Equal(t, score["transaction"].SpanID(), book["transaction"].ParentSpanID())

	failed := []pcommon.SpanID{book["process.attempt.1"].SpanID(), book["process.attempt.2"].SpanID()}
	for _, hop := range []map[string]span{score, book} {
		for name, s := range hop {
			kind := map[string]ptrace.SpanKind{"transaction": ptrace.SpanKindConsumer, "produce": ptrace.SpanKindProducer}[name]
			if kind == ptrace.SpanKindUnspecified {
				kind = ptrace.SpanKindInternal
			}
			require.Equal(t, kind, s.Kind(), name)
			status := ptrace.StatusCodeUnset
			if slices.Contains(failed, s.SpanID()) {
				status = ptrace.StatusCodeError
			}
			require.Equal(t, status, s.Status().Code(), name)
		}
	}
	require.Equal(t, "the ledger is busy", book["process.attempt.1"].Status().Message())
	require.Equal(t, 2, book["process"].Events().Len(), "a retry follows twice")
	require.Equal(t, semconv.EventRetry, book["process"].Events().At(0).Name())
	root := score["transaction"]
	require.Equal(t, "line-1", root.attr(semconv.AttrTransactionID))
	require.Equal(t, "succeeded", root.attr(semconv.AttrOutcome))
	require.Equal(t, "retail", text(root.resource, "service.name"))
	require.Equal(t, "books", text(book["transaction"].resource, "service.name"))
}

// A transaction that fails for good is traced though nothing is sampled, and what does
// well is not. Its dead letter names the trace.
func TestFailedIsTracedThoughSampledOut(t *testing.T) {
	c, w := startCollector(t), newWorld(t)
	w.publish(t, mixed()...)
	w.publish(t, sent{id: "bad", invoice: "700001", quantity: -1, trace: came})
	retail := w.retail(t, c.env("OTEL_TRACES_SAMPLER=always_off"))
	w.await(t, mixedScored, "RETAIL_OUT", "retail.scored", retail)
	w.await(t, mixedBad+1, bus.DefaultDeadStream, "ergon.dlq.score", retail)
	retail.stop(t)

	letters := w.dead(t, "score")
	told := map[string]string{} // trace by transaction
	for _, s := range c.spans(t) {
		if s.Name() == semconv.SpanTransaction {
			require.Equal(t, "dead", s.attr(semconv.AttrOutcome))
			told[s.attr(semconv.AttrTransactionID)] = s.TraceID().String()
		}
	}
	require.Len(t, told, mixedBad+1)
	for id, trace := range told {
		require.Contains(t, letters, id)
		require.Equal(t, letters[id]["Ergon-Dead-Trace-Id"], []string{trace}, id)
	}
	require.Equal(t, cameTrace, told["bad"])

	spans := ofTask(t, c.trace(t, cameTrace), "score")
	tree(t, spans, map[string]string{
		"fetch": "transaction", "fetch.attempt.1": "fetch",
		"process": "transaction", "process.attempt.1": "process",
	})
	for name, code := range map[string]ptrace.StatusCode{
		"transaction": ptrace.StatusCodeError, "process": ptrace.StatusCodeError, "process.attempt.1": ptrace.StatusCodeError,
		"fetch": ptrace.StatusCodeUnset,
	} {
		require.Equal(t, code, spans[name].Status().Code(), name)
	}
	require.Equal(t, cameSpan, spans["transaction"].ParentSpanID().String())
	require.Contains(t, spans["transaction"].Status().Message(), "quantity -1 is not positive")
	require.Equal(t, "BUSINESS", spans["transaction"].attr(semconv.AttrErrorType))
}
