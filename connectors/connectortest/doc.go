// Package connectortest is the conformance suite for connectors: whether a Source
// and a Sink keep what [ergon.Source], [ergon.Delivery] and [ergon.Sink] promise the
// engine. A connector's author says how to make a transport and what it can do, and
// runs the suite:
//
//	func TestConformance(t *testing.T) {
//		connectortest.Run(t, connectortest.Harness{
//			New:      newTransport,
//			Features: []connectortest.Feature{connectortest.Persistent, connectortest.Leases, …},
//		})
//	}
//
// Each [Part] is a subtest with a transport of its own. A part that needs a feature
// which is not declared is skipped by that feature's name; a feature that is
// declared and not held fails; and a delivery that offers the engine what the
// harness does not declare (a lease, CanDefer) fails too, since the engine would use
// what nothing has tested.
//
// Nothing here sleeps to let time pass: parts wait for what has to happen, for at
// most [Harness.Patience], and the only times that they judge are lower bounds. That
// something does not happen is shown by ErrDrained where the source has it, and
// otherwise by a short wait. A connector without a network runs the suite in virtual
// time: see [Harness.Virtual].
//
// It takes no assertion library into its user's tests.
package connectortest
