package cli

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/internal/semconv"
)

// writeFacts writes all but the payload.
func writeFacts(b *strings.Builder, r bus.DeadRecord) {
	fmt.Fprintf(b, "dead letter %d of %s\n\n", r.Sequence, r.Stream)
	fact := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "  %-14s %s\n", name, visible(value))
		}
	}
	l := r.Letter
	fact("id", r.TransactionID)
	fact("task", l.Task)
	fact("phase", l.Phase)
	fact("category", l.Category)
	fact("reason", l.Reason)
	fact("handler error", l.HandlerError)
	fact("attempts", positive(l.Attempts))
	fact("deliveries", positive(l.Deliveries))
	fact("requeued", positive(l.Requeue))
	fact("outputs", l.Outputs)
	fact("first seen", stamp(l.FirstSeen))
	failed := stamp(l.FailedAt)
	if took := l.FailedAt.Sub(l.FirstSeen); failed != "" && !l.FirstSeen.IsZero() && took >= 0 {
		failed += " (after " + short(took) + ")"
	}
	fact("failed at", failed)
	fact("stored at", stamp(r.StoredAt))
	if l.Stream != "" {
		fact("came from", fmt.Sprintf("%s %d, subject %s", l.Stream, l.Sequence, l.Subject))
	}
	fact("trace", l.TraceID)
	fact("kept under", r.Subject)
	if len(r.Dropped) > 0 {
		fact("no room for", strings.Join(r.Dropped, ", "))
	}
	for _, f := range r.Faults {
		fact("unreadable", f)
	}
	if len(r.Header) > 0 {
		b.WriteString("\nheaders\n")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, v := range r.Header[name] {
			fmt.Fprintf(b, "  %s: %s\n", visible(name), visible(v))
		}
	}
}

// redact hides the values of headers with sensitive names. Metadata goes by its own name
// and by its header's.
func redact(h nats.Header, hides func(name string) bool) {
	for name, values := range h {
		own := name
		if n := len(semconv.MetaPrefix); len(name) > n && strings.EqualFold(name[:n], semconv.MetaPrefix) {
			own = name[n:]
		}
		if decoded, err := url.PathUnescape(own); err == nil {
			own = decoded
		}
		if !hides(name) && !hides(own) {
			continue
		}
		for i := range values {
			values[i] = "[redacted]"
		}
	}
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}
