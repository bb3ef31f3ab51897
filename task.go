package ergon

import "context"

// Consumer is a task that processes incoming transactions (RFC-002 §5.5).
//
// Process is called by the engine, concurrently for different transactions,
// never for two deliveries of one transaction at once. ctx ends with the
// attempt's deadline or when the engine gives the attempt up; the attempt is
// not over before Process returns. The payload is a fresh copy for each call.
// The error decides what follows: see [Business], [System], [Timeout] and
// [RetryAfter].
//
// Out is encoded and sent to the task's one route; a nil pointer sends nothing.
// It may be [None], which never sends, or [Outputs], which names a route for
// each.
type Consumer[In, Out any] interface {
	Process(ctx context.Context, tx Transaction[In]) (Out, error)
}

// Producer is a task that turns a transaction into what is to be sent. It makes
// no call to a connector: the engine sends what it returns. The obligations of
// [Consumer.Process] hold for Produce.
type Producer[In, Out any] interface {
	Produce(ctx context.Context, tx Transaction[In]) (Out, error)
}

// SuccessHandler is an optional hook of a task. It runs once everything that
// the transaction caused is stored, and before its source is settled; a crash
// between the two repeats it with the next delivery. An error, after its
// retries, leads to the exception handler and a dead letter; nothing that was
// sent is undone.
type SuccessHandler[In, Out any] interface {
	HandleSuccess(ctx context.Context, tx Transaction[In], result Out) error
}

// ExceptionHandler is an optional hook of a task. It runs at most once per
// delivery, after the transaction failed for good and before it goes to the
// dead-letter store, where it goes whatever the hook returns. A payload that
// could not be decoded is passed as its zero value with exc.Phase
// [PhaseDecode].
type ExceptionHandler[In any] interface {
	HandleException(ctx context.Context, tx Transaction[In], exc *Error) error
}

// None is the Out of a task that sends nothing.
type None struct{}

// Output is one of several things that a task sends.
type Output struct {
	// Route names where it goes. Routes are bound to sinks in the wiring, so a
	// task knows no subject and no URL. "" means the task's only route.
	Route string
	// Payload is encoded by the engine; a []byte is sent as it is.
	Payload any
	// Key makes the output's ID stable even when the order or the content of
	// the outputs differs between attempts, and orders outputs of one key where
	// the transport can. Within a route a key may be used once. Without one the
	// ID comes from the payload.
	Key string
	// Metadata is sent along.
	Metadata Metadata
}

// Outputs is the Out of a task that sends any number of things. All of them are
// stored before the transaction's source is settled.
type Outputs []Output

// To is the short form of an Output without a key.
func To(route string, payload any) Output { return Output{Route: route, Payload: payload} }
