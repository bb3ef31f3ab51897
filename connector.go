package ergon

import (
	"context"
	"errors"
	"time"
)

// ErrDrained is returned by [Source.Fetch] when nothing is pending, nothing is
// in flight anywhere (in this process or another) and nothing is parked for
// later. A message that is still leased to a process that died is in flight.
var ErrDrained = errors.New("source is drained")

// ErrLeaseLost is returned by [Delivery.Extend] when the delivery belongs to
// somebody else by now. The engine cancels the attempt and neither sends nor
// settles for it.
var ErrLeaseLost = errors.New("lease lost")

// ErrClosed is returned by a source or sink that was closed.
var ErrClosed = errors.New("connector is closed")

// Source brings transactions in.
//
// One engine owns a source and calls Fetch from one goroutine at a time. Every
// delivery that Fetch returned is settled by exactly one call of
// [Delivery.Settle], unless its lease was lost or a newer delivery of the same
// stored message took its place.
type Source interface {
	// Fetch waits until at least one delivery is there and returns at most max,
	// without waiting for more. max is at least 1. The source holds no more than
	// max deliveries that the engine has not seen, so what it asked its
	// transport for is bounded too.
	//
	// When ctx ends Fetch returns its error at once; what arrives afterwards is
	// kept for the next Fetch or handed back by Close, never dropped. It returns
	// ErrDrained when there is nothing to wait for. Any other error is retried
	// by the fetch policy and then ends the loop, so it says what failed, on
	// what, and what to do. Deliveries and an error are never returned together.
	Fetch(ctx context.Context, max int) ([]Delivery, error)

	// Close stops fetching and hands back everything that was not returned by
	// Fetch, so that another process gets it without waiting for a lease to run
	// out. It is called after the last settlement, is idempotent, and gives up
	// when ctx ends.
	Close(ctx context.Context) error
}

// Delivery is one transaction together with the lease under which it is held.
type Delivery interface {
	// Transaction is what was delivered. It is the same at each call. A message
	// that lacks an identity is given one that is stable over redeliveries.
	Transaction() Raw

	// Info says how it was delivered. It is the same at each call.
	Info() DeliveryInfo

	// Extend renews the lease. The engine calls it for everything it holds, at a
	// third of DeliveryInfo.Lease, until a settlement was taken. It does not wait
	// long and returns ErrLeaseLost when the lease is gone; other errors are
	// tried again by the next sweep.
	Extend(ctx context.Context) error

	// Settle ends the delivery. The engine calls it from any goroutine, once
	// unless it failed; it does not block. done is called once, from any goroutine, possibly
	// before Settle returns, with nil once the source has taken the settlement:
	// for Dead that means that the dead letter is durably stored. After an error
	// nothing was settled, and the engine calls Settle again while it holds the
	// lease.
	Settle(s Settlement, done func(error))
}

// DeliveryInfo are the facts of one delivery.
type DeliveryInfo struct {
	// Stored names the stored message. Two deliveries with equal, non-empty
	// Stored are the same message delivered twice.
	Stored string
	// Attempt is the number of the first attempt of this delivery, 1 unless the
	// transaction was parked after earlier attempts. 0 means 1.
	Attempt int
	// Deliveries counts how often the message was handed out, this time
	// included. 0 means unknown.
	Deliveries int
	// Lease is how long the delivery is held without Extend. 0 means for ever.
	Lease time.Duration
	// FirstSeen is when the first delivery of this transaction began, where it
	// is known; it is the transaction's Now. The zero time means now.
	FirstSeen time.Time
	// Epoch is set where the source gave the transaction its ID and may give the
	// same one to another message some day, as when a stream is deleted and counts
	// from 1 again. It is the same at each delivery of a message, and makes the IDs
	// of its outputs its own.
	Epoch string
	// CanDefer says that the source takes a Retry settlement, which stores the
	// transaction for later together with its next attempt.
	CanDefer bool
	// Crashes counts the earlier starts of this stored message that never ended,
	// as far as they were recorded: see StartRecorder. 0 for most.
	Crashes int
}

// SettleKind is how a delivery ends.
type SettleKind int

const (
	// Ack: done with, for good.
	Ack SettleKind = iota + 1
	// Retry: stored for later, After from now, as attempt NextAttempt. Only
	// where DeliveryInfo.CanDefer.
	Retry
	// Dead: kept in the dead-letter store with Err, and done with.
	Dead
	// Release: given back unprocessed; another delivery follows after After at
	// the earliest. It counts as no attempt.
	Release
)

// String returns the kind's name in lower case.
func (k SettleKind) String() string {
	switch k {
	case Ack:
		return "ack"
	case Retry:
		return "retry"
	case Dead:
		return "dead"
	case Release:
		return "release"
	}
	return "unknown"
}

// Settlement says how a delivery ends.
type Settlement struct {
	Kind SettleKind
	// After is the delay before the next delivery, for Retry and Release.
	After time.Duration
	// NextAttempt is the number the next attempt has, for Retry.
	NextAttempt int
	// Err is why, for Dead and Retry.
	Err *Error
	// FirstSeen is when the transaction's first attempt began, for Dead and Retry:
	// what the next delivery's DeliveryInfo says.
	FirstSeen time.Time
	// Confirm asks for done to be called only once the transport has said that it
	// took the settlement, for Ack. Sources that are always told ignore it.
	Confirm bool
	// Dead are the further facts of a dead letter, for Dead.
	Dead DeadFacts
	// Reply is what the task's outputs were, for sources whose caller waits for
	// an answer.
	Reply []Raw
}

// DeadFacts are what a dead letter says beside its error.
type DeadFacts struct {
	// Outputs, Confirmed and Unknown count the transaction's outputs: all, those
	// that are stored, and those of which it is not known.
	Outputs, Confirmed, Unknown int
	// HandlerErr is what the exception handler returned, nil if it did well or
	// there is none.
	HandlerErr error
	// FailedAt is when the transaction failed for good.
	FailedAt time.Time
}

// Sink takes transactions out.
type Sink interface {
	// Send stores or delivers tx. It is called from many goroutines at once.
	//
	// done is called exactly once, from any goroutine, possibly before Send
	// returns. It gets nil only once tx is durably stored or its receiver has
	// said that it has it. done never blocks, and a sink may call it from the
	// goroutine that reads its connection.
	//
	// Send may block while the sink's window is full, until ctx ends. ctx
	// carries the attempt's deadline: once it has passed, done is called with
	// an error. The engine sends the same tx again, under the same ID, when it
	// does not know what became of it. An error is classified as a task's is:
	// Business for what will never be taken.
	Send(ctx context.Context, tx Raw, done func(error))

	// Close waits for what is on its way and gives up when ctx ends. It is
	// idempotent; Send after Close calls done with ErrClosed.
	Close(ctx context.Context) error
}

// BlockingSink makes a Sink of a function that returns when tx is stored. At
// most n calls of f run at once (n is at least 1); Send waits for a free one
// until ctx ends. f gets the attempt's context and must return when it ends. A
// panic of f becomes an error.
func BlockingSink(f func(ctx context.Context, tx Raw) error, n int) Sink {
	return newBlockingSink(f, max(n, 1))
}
