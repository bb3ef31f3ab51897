package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What pulling can end with. All are found with errors.Is.
var (
	// ErrDrained: nothing is pending at the consumer, and nothing that it
	// delivered, to anyone, waits to be acknowledged.
	ErrDrained = errors.New("drained")
	// ErrConsumerGone: the durable consumer does not exist (any more). Ensure
	// it and pull again with the same Puller.
	ErrConsumerGone = errors.New("consumer does not exist")
	// ErrStreamGone: the stream does not exist (any more).
	ErrStreamGone = errors.New("stream does not exist")
	// ErrConcurrentFetch: a Puller serves one Fetch at a time.
	ErrConcurrentFetch = errors.New("another fetch is running on this puller")
	// ErrPullRefused: the server refuses pull requests on this consumer, and
	// asking again would not help.
	ErrPullRefused = errors.New("pull request refused")
)

// What publishing can end with, and what both can.
var (
	// ErrClosed: the Bus, Puller or Publisher was closed.
	ErrClosed = errors.New("closed")
	// ErrUnknown: the message may or may not be stored. Publish it again under
	// the same Nats-Msg-Id: the stream drops the second copy.
	ErrUnknown = errors.New("outcome unknown: publish again under the same ID")
	// ErrDisconnected: there was no connection to send the message on; it is
	// not stored.
	ErrDisconnected = errors.New("not connected")
	// ErrNoStream: no stream answered for the subject, also after some retries.
	ErrNoStream = errors.New("no stream accepts this subject: create one, or add the subject to one")
	// ErrTooLarge: the message with its headers exceeds what the server takes.
	ErrTooLarge = errors.New("message too large")
	// ErrDenied: the user may not publish on that subject.
	ErrDenied = errors.New("permission denied")
)

// What acknowledging, or parsing a delivery, can end with.
var (
	// ErrNakDelay: a negative acknowledgement without a delay is redelivered at
	// once, and spends all deliveries in a moment.
	ErrNakDelay = errors.New("nak needs a delay above 0")
	// ErrReply: the subject is not one that JetStream puts on a delivery.
	ErrReply = errors.New("not a JetStream reply subject")
)

// ErrNoSchedules: the server can't deliver a message later. It needs version 2.12.
var ErrNoSchedules = errors.New("it knows no scheduled messages (they came with nats-server 2.12)")

// ErrTopology: what is declared and what exists cannot go together. The text
// says which resource, why, and what to do.
var ErrTopology = errors.New("topology")

// APIError is JetStream's refusal to store a message.
type APIError struct {
	Code        int    `json:"code"`     // like an HTTP status
	ErrCode     uint16 `json:"err_code"` // JetStream's own number, 10000 and up
	Description string `json:"description"`
	Subject     string `json:"-"` // the message's
}

// Error describes the refusal.
func (e *APIError) Error() string {
	return fmt.Sprintf("stream refused the message for %q: %s (%d)%s", e.Subject, e.Description, e.ErrCode, roomAdvice(e.ErrCode))
}

// roomAdvice says what to do about a refusal for want of room, "" about any other: the
// server's own words for it don't say of what there is not enough.
func roomAdvice(code uint16) string {
	switch code {
	case 10002:
		return ": the account's limits are reached: purge or delete streams, or have the limits raised"
	case 10023, 10028, 10047:
		return ": the server's room for streams is used up: free some on its disk, purge or delete streams, or raise its limits"
	case 10049, 10077:
		return ": the server can't write its store: see whether its disk is full, and its log; " +
			"a stream that failed so stores nothing until the server is started again"
	}
	return ""
}

// adviceOf is roomAdvice for what the API answered.
func adviceOf(err error) string {
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return roomAdvice(uint16(api.ErrorCode))
}

// Permanent reports whether publishing the same message again must fail in the
// same way. It is the one place that decides this. An error that it does not
// know is not permanent: trying again costs time, giving up costs the message.
func Permanent(err error) bool {
	var api *APIError
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrUnknown), errors.Is(err, ErrDisconnected):
		return false // the connection, not the message; the same ID makes a repeat safe
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false // the caller's patience, not the message
	case errors.Is(err, ErrNoStream):
		return false // a stream can be created, and a leader election looks the same
	case errors.Is(err, ErrClosed), errors.Is(err, nats.ErrConnectionClosed):
		return false // another process, or the next start, can publish it
	case errors.Is(err, ErrTooLarge), errors.Is(err, nats.ErrMaxPayload):
		return true // the message does not shrink
	case errors.Is(err, ErrDenied):
		return true // permissions are changed by people, not within a retry's time
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg), errors.Is(err, nats.ErrInvalidMsg):
		return true // the message cannot be written on the wire
	case errors.Is(err, nats.ErrHeadersNotSupported):
		return true // the server is too old
	case errors.As(err, &api):
		return api.permanent()
	}
	return false
}

// permanent goes by JetStream's error number where the class alone misleads.
func (e *APIError) permanent() bool {
	switch e.ErrCode {
	case 10002: // resource limits exceeded for account: room is made by consuming
		return false
	case 10005, 10011, 10044, 10202: // cluster placement and membership change by themselves
		return false
	case 10193, 10163: // expected sequence per subject not ready yet
		return false
	case 10158: // the first copy is being stored: the next try learns how it ended
		return false
	case 10037: // "no message found" tells of a stream that is catching up
		return false
	case 10111: // rollup not permitted by the stream's configuration
		return true
	case 10180, 10185: // conditions that the message itself states
		return true
	}
	// 4xx blames the message or the stream's configuration; 429 and 5xx are
	// load, space and elections.
	return e.Code >= 400 && e.Code < 500 && e.Code != 429 && e.Code != 409 && e.Code != 408
}

// goneError names a missing stream or consumer by what the API said.
func goneError(stream, durable string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("stream %q: %w: create it, or declare its subjects", stream, ErrStreamGone)
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("consumer %q of stream %q: %w", durable, stream, ErrConsumerGone)
	case errors.As(err, &api):
		return fmt.Errorf("consumer %q of stream %q: %w", durable, stream, err)
	}
	return err
}

// UnsentError says that a connection was away to the end, and had something to send: what
// was to be acknowledged or given back comes again when its ack deadline passes.
// It is [ErrDisconnected].
type UnsentError struct {
	Bytes int // of NATS's protocol
}

func (e *UnsentError) Error() string {
	return fmt.Sprintf("NATS is away, and %d bytes were not sent, acknowledgements above all: what they are about comes again when its ack deadline passes", e.Bytes)
}

// Unwrap returns [ErrDisconnected].
func (e *UnsentError) Unwrap() error { return ErrDisconnected }
