package semconv

import "strconv"

// Names of spans: one transaction is one span, each phase one below it, and each
// attempt one below its phase.
const (
	SpanTransaction = "transaction"
	SpanFetch       = "fetch"
	SpanProcess     = "process"
	SpanProduce     = "produce"
	SpanSuccess     = "success"
	SpanException   = "exception"
)

// attemptPrefix is what an attempt's span is named by where that is not its phase.
var attemptPrefix = map[string]string{SpanSuccess: "handle_success", SpanException: "handle_exception"}

// SpanAttempt is the name of the span of attempt n of the phase whose span has this
// name.
func SpanAttempt(phase string, n int) string {
	if p, ok := attemptPrefix[phase]; ok {
		phase = p
	}
	return phase + ".attempt." + strconv.Itoa(n)
}

// Events of spans.
const (
	EventRetry = "ergon.retry" // a further attempt follows, after a delay
)

// Attributes of spans that OpenTelemetry has no names for. Those that it has are of
// its semantic conventions.
const (
	AttrTask          = "ergon.task"
	AttrTransactionID = "ergon.transaction.id"
	AttrSource        = "ergon.transaction.source"
	AttrCorrelationID = "ergon.transaction.correlation_id"
	AttrConnector     = "ergon.connector"
	AttrOutcome       = "ergon.outcome"
	AttrOutputs       = "ergon.outputs"
	AttrDelivery      = "ergon.delivery"
	AttrPhase         = "ergon.phase"
	AttrCategory      = "ergon.category"
	AttrAttempt       = "ergon.attempt"
	AttrMaxAttempts   = "ergon.max_attempts"
	AttrDelay         = "ergon.delay" // seconds
	AttrHandlerError  = "ergon.handler_error"
)
