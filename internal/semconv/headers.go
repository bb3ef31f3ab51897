package semconv

// CloudEvents 1.0 attributes, in binary mode (CloudEvents NATS binding §3.1).
// Header names are compared without regard to case; these spellings are
// written.
const (
	CESpecVersion     = "ce-specversion"
	CEID              = "ce-id"
	CESource          = "ce-source"
	CEType            = "ce-type"
	CETime            = "ce-time"
	CESubject         = "ce-subject" // the ordering key
	CEDataContentType = "ce-datacontenttype"
	CECausationID     = "ce-causationid"
	CECorrelationID   = "ce-correlationid"

	// CEVersion is the value of ce-specversion.
	CEVersion = "1.0"
	// CEPrefix begins every CloudEvents attribute.
	CEPrefix = "ce-"
)

// W3C trace context and baggage. They win over their ce- forms.
const (
	TraceParent = "traceparent"
	TraceState  = "tracestate"
	Baggage     = "baggage"
)

// Headers of Ergon's own.
const (
	// ContentType is read where ce-datacontenttype is missing.
	ContentType = "Content-Type"
	// MetaPrefix begins a header that carries one entry of a transaction's
	// metadata.
	MetaPrefix = "Ergon-Meta-"
	// ErgonPrefix begins every header of Ergon's own. Sources keep incoming
	// ones out of metadata.
	ErgonPrefix = "Ergon-"
	// OrigPrefix is put before the name of each Nats-* header of a dead
	// letter, and of what came back from one: a verbatim copy would act on the
	// stream that stores it.
	OrigPrefix = "Ergon-Orig-"
)

// What a dead letter says of its end.
const (
	DeadPrefix       = "Ergon-Dead-"
	DeadTask         = "Ergon-Dead-Task"
	DeadPhase        = "Ergon-Dead-Phase"
	DeadCategory     = "Ergon-Dead-Category"
	DeadReason       = "Ergon-Dead-Reason" // one line, at most 1 KiB
	DeadAttempts     = "Ergon-Dead-Attempts"
	DeadDeliveries   = "Ergon-Dead-Deliveries"
	DeadOutputs      = "Ergon-Dead-Outputs" // "m=3 confirmed=1 unknown=0"
	DeadHandlerError = "Ergon-Dead-Handler-Error"
	DeadFirstSeen    = "Ergon-Dead-First-Seen"
	DeadFailedAt     = "Ergon-Dead-Failed-At"
	DeadStream       = "Ergon-Dead-Stream"
	DeadSubject      = "Ergon-Dead-Subject"
	DeadSequence     = "Ergon-Dead-Sequence"
	DeadTimestamp    = "Ergon-Dead-Timestamp" // Unix nanoseconds, of when it was stored there
	DeadTraceID      = "Ergon-Dead-Trace-Id"
	DeadEncoding     = "Ergon-Dead-Encoding" // "gzip": of a payload that was too large
	DeadObject       = "Ergon-Dead-Object"   // "<bucket>/<object>": where the payload is, if not here
	DeadDropped      = "Ergon-Dead-Dropped"  // names of the headers that there was no room for
	DeadRequeue      = "Ergon-Dead-Requeue"  // how often it had been requeued
)

// What is noted of a message that came back from dead letters: how often, and what
// it was before, for the IDs of a plain message's outputs depend on it.
const (
	Requeue          = "Ergon-Requeue"
	RequeuePrefix    = "Ergon-Requeue-"
	RequeueStream    = "Ergon-Requeue-Stream" // where it was stored in the first place
	RequeueSequence  = "Ergon-Requeue-Sequence"
	RequeueTimestamp = "Ergon-Requeue-Timestamp" // Unix nanoseconds
	RequeueFirstSeen = "Ergon-Requeue-First-Seen"
)

// What is noted of a transaction that waits for its next attempt.
const (
	ParkedPrefix     = "Ergon-Parked-"
	ParkedDue        = "Ergon-Parked-Due"
	ParkedAttempt    = "Ergon-Parked-Attempt" // the next one
	ParkedDeliveries = "Ergon-Parked-Deliveries"
	ParkedFirstSeen  = "Ergon-Parked-First-Seen"
	ParkedStream     = "Ergon-Parked-Stream" // where it was stored in the first place
	ParkedSubject    = "Ergon-Parked-Subject"
	ParkedSequence   = "Ergon-Parked-Sequence"
	ParkedTimestamp  = "Ergon-Parked-Timestamp" // Unix nanoseconds
	ParkedReason     = "Ergon-Parked-Reason"    // one line, at most 1 KiB
)

// Headers of NATS that Ergon writes or reads.
const (
	NatsPrefix = "Nats-"
	NatsMsgID  = "Nats-Msg-Id"
)
