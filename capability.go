package ergon

import (
	"context"
	"time"
)

// Readier is an optional part of a [Source]: the channel receives when a Fetch
// would not wait, so that the engine cuts the pause after an empty fetch short.
type Readier interface{ Ready() <-chan struct{} }

// Prefetcher is an optional part of a [Source]: Prefetch(n) allows it to ask its
// transport for up to n more than the max of a Fetch, which a Fetch is expected to
// take soon. A source that was never told asks for no more than max. The engine
// calls it between Fetches, from the goroutine that fetches.
type Prefetcher interface{ Prefetch(n int) }

// Backlogger is an optional part of a [Source]: Backlog reports whether more was waiting,
// at the transport, behind what the latest Fetch returned, when that was handed out. Many
// engines in one process that have a backlog each take turns; one whose source does not
// say is never made to wait for the others. The engine calls it between Fetches, from the
// goroutine that fetches.
type Backlogger interface{ Backlog() bool }

// AsyncSink is an optional part of a [Sink] whose Send hands over and whose answers come
// later, many at a time. While as many of a task's calls of Send have not returned as
// the machine has cores, and nothing moves, what they wait for has no room, and the
// engine has no more of its goroutines wait for it. Of a sink without it the engine
// makes as many calls at once as there are slots. Async does nothing and is never
// called: it says what the sink is.
type AsyncSink interface{ Async() }

// HealthReporter is an optional part of a [Source] and a [Sink]. Health returns
// nil while it can do its work, and otherwise says what is wrong, on what, and
// what to do. It answers from what is known and does not wait; it may be called
// at any time, from any goroutine.
type HealthReporter interface{ Health() error }

// LagReporter is an optional part of a [Source]: how much is still to come. It
// answers from what is known and does not wait; it may be called at any time,
// from any goroutine.
type LagReporter interface{ Lag() Lag }

// Lag is what a source still has, as of a moment.
type Lag struct {
	// Pending was never handed out, InFlight was, by this process or another, and
	// is not settled, and Parked waits for its time.
	Pending, InFlight, Parked int64
	// At is when that was so. The zero time means that nothing is known yet.
	At time.Time
}

// StartRecorder is an optional part of a [Delivery], for sources whose messages
// come back when their process dies. The engine calls RecordStart before it runs
// a delivery whose DeliveryInfo.Deliveries is over 2, and ForgetStart when that
// ended, however it did. What is never forgotten has most likely killed its
// process, and later deliveries tell by DeliveryInfo.Crashes.
type StartRecorder interface {
	// RecordStart returns once the start is durably recorded, or when ctx ends.
	// After an error the delivery runs all the same.
	RecordStart(ctx context.Context) error
	// ForgetStart takes that back. It does not wait, and is called once for each
	// RecordStart.
	ForgetStart()
}
