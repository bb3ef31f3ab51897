package connectortest

import "testing"

// Part is one part of the suite: a few sentences of the contract, and a test of
// them.
type Part struct {
	// Name says what the part is about.
	Name string
	// Needs are the features without which it is skipped.
	Needs []Feature
	// short is for a part that waits for a lease to end.
	short bool
	run   func(*scene)
}

// Parts are the parts of the suite, in the order in which Run runs them. What each
// proves stands at its function.
func Parts() []Part {
	return []Part{
		{Name: "publish and receive", run: publishAndReceive},
		{Name: "envelope round trip", run: envelopeRoundTrip},
		{Name: "trace round trip", run: traceRoundTrip},
		{Name: "multi-value headers", Needs: []Feature{MultiValue}, run: multiValue},
		{Name: "identity of plain messages", Needs: []Feature{Plain, Redelivers}, run: plainIdentity},
		{Name: "poison bytes", Needs: []Feature{Plain}, run: poisonBytes},

		{Name: "fetch returns what is there", Needs: []Feature{Persistent}, run: fetchWhatIsThere},
		{Name: "fetch ends with its context", Needs: []Feature{Persistent}, run: fetchEndsWithContext},
		{Name: "fetch loses nothing", Needs: []Feature{Persistent}, run: fetchLosesNothing},
		{Name: "ready", Needs: []Feature{Persistent}, run: ready},
		{Name: "backlog", Needs: []Feature{Persistent}, run: backlog},
		{Name: "order", Needs: []Feature{Persistent, Ordered}, run: order},
		{Name: "concurrency", Needs: []Feature{Shared}, run: concurrency},

		{Name: "redelivery on error", Needs: []Feature{Redelivers}, run: redeliveryOnError},
		{Name: "redelivery without ack", Needs: []Feature{Leases}, short: true, run: redeliveryWithoutAck},
		{Name: "confirmed ack", Needs: []Feature{CountsUnacked}, run: confirmedAck},
		{Name: "delays are never early", Needs: []Feature{Redelivers}, run: delaysNeverEarly},
		{Name: "retry", Needs: []Feature{Defers}, run: retry},
		{Name: "dead letters", Needs: []Feature{DeadLetters}, run: deadLetters},

		{Name: "heartbeats", Needs: []Feature{Leases}, short: true, run: heartbeats},
		{Name: "lost lease", Needs: []Feature{Leases}, short: true, run: lostLease},
		{Name: "crash counting", Needs: []Feature{RecordsStarts, CountsDeliveries, Leases, Redelivers}, short: true, run: crashCounting},
		{Name: "lease expiry under prefetch", Needs: []Feature{Persistent, Leases, Shared}, short: true, run: leaseUnderPrefetch},

		{Name: "drain", Needs: []Feature{Drains, Persistent}, run: drain},
		{Name: "close hands back", Needs: []Feature{Persistent, Shared}, run: closeHandsBack},
		{Name: "close is idempotent", run: closeIsIdempotent},

		{Name: "send answers once", Needs: []Feature{Persistent}, run: sendAnswersOnce},
		{Name: "send with an ended context", run: sendWithEndedContext},
		{Name: "duplicates", Needs: []Feature{Persistent, Deduplicates}, run: duplicates},

		{Name: "unacked bound", Needs: []Feature{Persistent, CountsUnacked}, run: unackedBound},
		{Name: "memory bound", Needs: []Feature{Persistent}, run: memoryBound},
		{Name: "saturation", run: saturation},
		{Name: "reconnect", Needs: []Feature{Persistent, Redelivers, Reconnects}, short: true, run: reconnect},
	}
}

// Run runs the part once with a transport of its own, or skips it.
func (p Part) Run(t testing.TB, h Harness) {
	t.Helper()
	p.skip(t, h)
	h = h.withDefaults()
	lease := longLease
	if p.short {
		lease = h.Lease
	}
	s := newScene(t, h, lease)
	p.run(s)
	// The part's context ends before its cleanups run. What was received only a moment
	// ago may not have been confirmed to its sender yet.
	s.await()
}

func (p Part) skip(t testing.TB, h Harness) {
	t.Helper()
	if why, ok := h.Except[p.Name]; ok {
		t.Skipf("known to fail: %s", why)
	}
	for _, f := range p.Needs {
		if !h.has(f) {
			t.Skipf("feature %s is not declared", f)
		}
	}
}
