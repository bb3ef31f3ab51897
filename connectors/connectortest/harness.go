package connectortest

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ergon-framework/ergon"
)

// Harness is what the suite has to know of a connector.
type Harness struct {
	// New makes a transport that is empty and shares nothing with any other. lease
	// is for how long its deliveries are to be held: Lease in a part that waits for
	// the end of one, ten minutes in all others, so that a slow machine loses none.
	// A transport without leases ignores it. What New starts it ends by t.Cleanup.
	// Required.
	New func(t testing.TB, lease time.Duration) Transport
	// Features are what the connector holds itself to.
	Features []Feature
	// Except names parts that are known to fail, each with the reason. They are
	// skipped with it.
	Except map[string]string
	// Lease is the lease in parts that wait for the end of one. It should exceed by
	// far what the machine may stall. Default 1 s.
	Lease time.Duration
	// Patience is how long anything that has to happen may take. It is spent only
	// by a connector that fails. Default 30 s.
	Patience time.Duration
	// Virtual runs each part in a bubble of testing/synctest, where waiting takes no
	// time. It is for transports that are all memory and timers.
	Virtual bool
}

// Transport is one queue of messages and the ways to it. Source and Sink are
// required, the others where a declared feature says so. All are called from the
// part's own goroutine.
type Transport struct {
	// Source returns a new consumer of the queue. The suite closes it.
	Source func(t testing.TB) ergon.Source
	// Sink returns a new sink into the same queue: what it sends, the sources
	// receive. The suite closes it.
	Sink func(t testing.TB) ergon.Sink
	// Publish stores a message as a producer does that knows nothing of Ergon. For
	// Plain.
	Publish func(t testing.TB, m Message)
	// DeadLetters are what is in the dead-letter store. For DeadLetters.
	DeadLetters func(t testing.TB) []DeadLetter
	// Unacked is how many messages the transport itself counts as handed out and not
	// settled. For CountsUnacked.
	Unacked func(t testing.TB) int
	// Down takes the connection away from all sources and sinks, Up gives it back.
	// Both return when that is so for the transport; its clients may learn of it
	// later. For Reconnects.
	Down, Up func(t testing.TB)
}

// Message is a message that no program of Ergon wrote.
type Message struct {
	Header  map[string][]string
	Payload []byte
}

// DeadLetter is one message in a dead-letter store.
type DeadLetter struct {
	Payload []byte
	// Reason is the text of the error because of which it is there.
	Reason string
}

// Feature is something that not every transport can do.
type Feature string

// The features.
const (
	// Persistent: a send is confirmed once it is stored, and what is stored is
	// delivered whoever was there when it was sent. Without it a send may be
	// confirmed only by who receives it.
	Persistent Feature = "Persistent"
	// Shared: several sources share the messages, as processes do.
	Shared Feature = "Shared"
	// Ordered: a single source delivers in the order of confirmation.
	Ordered Feature = "Ordered"
	// Redelivers: what is released is delivered again.
	Redelivers Feature = "Redelivers"
	// CountsDeliveries: DeliveryInfo.Deliveries is known.
	CountsDeliveries Feature = "CountsDeliveries"
	// Leases: a delivery is held for DeliveryInfo.Lease, longer if extended, and
	// then delivered again.
	Leases Feature = "Leases"
	// Defers: DeliveryInfo.CanDefer, a Retry settlement is taken.
	Defers Feature = "Defers"
	// RecordsStarts: deliveries are ergon.StartRecorder.
	RecordsStarts Feature = "RecordsStarts"
	// DeadLetters: a Dead settlement is kept where Transport.DeadLetters reads it.
	DeadLetters Feature = "DeadLetters"
	// Drains: Fetch returns ErrDrained when nothing is left.
	Drains Feature = "Drains"
	// Deduplicates: of two sends with one identity, one is delivered.
	Deduplicates Feature = "Deduplicates"
	// Plain: Transport.Publish stores what no program of Ergon wrote.
	Plain Feature = "Plain"
	// MultiValue: all values of one header, or of one name in the metadata, arrive.
	MultiValue Feature = "MultiValue"
	// CountsUnacked: Transport.Unacked counts.
	CountsUnacked Feature = "CountsUnacked"
	// Reconnects: sources and sinks survive Transport.Down.
	Reconnects Feature = "Reconnects"
)

// AllFeatures are all there are.
func AllFeatures() []Feature {
	return []Feature{
		Persistent, Shared, Ordered, Redelivers, CountsDeliveries, Leases, Defers, RecordsStarts,
		DeadLetters, Drains, Deduplicates, Plain, MultiValue, CountsUnacked, Reconnects,
	}
}

const (
	defaultLease    = time.Second
	defaultPatience = 30 * time.Second
	// longLease is for parts in which no lease is to end.
	longLease = 10 * time.Minute
)

// Run runs every part as a subtest of t.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatalf("connectortest: %v", err)
	}
	for _, p := range Parts() {
		t.Run(p.Name, func(t *testing.T) {
			p.skip(t, h) // before the bubble, so that an outsider's harness costs none
			if h.Virtual {
				synctest.Test(t, func(t *testing.T) { p.Run(t, h) })
				return
			}
			p.Run(t, h)
		})
	}
}

// validate says what is wrong with the harness itself.
func (h Harness) validate() error {
	if h.New == nil {
		return fmt.Errorf("the harness has no New")
	}
	for _, f := range h.Features {
		if !slices.Contains(AllFeatures(), f) {
			return fmt.Errorf("there is no feature %q", f)
		}
	}
	for name := range h.Except {
		if !slices.ContainsFunc(Parts(), func(p Part) bool { return p.Name == name }) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	return nil
}

func (h Harness) withDefaults() Harness {
	if h.Lease <= 0 {
		h.Lease = defaultLease
	}
	if h.Patience <= 0 {
		h.Patience = defaultPatience
	}
	return h
}

func (h Harness) has(f Feature) bool { return slices.Contains(h.Features, f) }
