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

// SpanCall stands for the spans of services' calls, which are named after the operation.
const SpanCall = "call"

// Events of spans.
const (
	EventRetry     = "ergon.retry" // a further attempt follows, after a delay
	EventException = "exception"   // OpenTelemetry's own
)

// Span is one kind of span, or an event of spans, as the outside sees it.
type Span struct {
	Name string
	// Kind is a span's, or "event".
	Kind        string
	Description string
}

// SpanAttempts stands for the spans that SpanAttempt names.
const SpanAttempts = "attempt"

// KindEvent is the Kind of an event.
const KindEvent = "event"

// Spans are all of them, in the order of the reference page.
func Spans() []Span {
	return []Span{
		{SpanTransaction, "consumer", "One delivery of one transaction, from when it was fetched to when it was settled. It continues the trace that the transaction came with, or is linked to it."},
		{SpanFetch, "internal", "The fetch that brought the transaction, with its failed attempts. All transactions of a batch have one alike."},
		{SpanProcess, "internal", "The task's code, with its retries and the waits between them. Decoding the payload is part of it."},
		{SpanProduce, "producer", "Handing the outputs to their sinks, until all are stored. Of a producer, its code as well."},
		{SpanSuccess, "internal", "The success hook."},
		{SpanException, "internal", "The exception hook."},
		{SpanAttempts, "internal", "One attempt of a phase, below that phase's span; what the task's code starts is below this one. It is named after its phase and counted from 1: `fetch.attempt.1`, `process.attempt.2`, `produce.attempt.1`, `handle_success.attempt.1`, `handle_exception.attempt.1`."},
		{SpanCall, "client", "One call of a service, with its retries and waits, below the attempt that made it: `regions.get`. There is none of a transaction that is sampled out, also if it fails."},
		{EventRetry, KindEvent, "On a phase's span, after an attempt that failed and that another one follows."},
		{EventException, KindEvent, "On an attempt that failed, and on a transaction that did for good: what went wrong."},
	}
}

// Attributes of spans that OpenTelemetry has no names for. Those that it has are of
// its semantic conventions. Attributes says what each means.
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

	// What policy ruled.
	AttrTransactionAttempt = "ergon.transaction.attempt" // that the delivery began with
	AttrConcurrency        = "ergon.concurrency"
	AttrWindow             = "ergon.window"
	AttrBackoff            = "ergon.retry.backoff"            // seconds
	AttrBackoffMultiplier  = "ergon.retry.backoff_multiplier" // of each further wait
	AttrBackoffCap         = "ergon.retry.backoff_cap"        // seconds
	AttrTimeout            = "ergon.retry.timeout"            // seconds

	// Of a service's call.
	AttrService   = "ergon.service"
	AttrOperation = "ergon.service.operation"
	AttrAttempts  = "ergon.service.attempts"

	// Of OpenTelemetry's own, of a call over HTTP.
	AttrHTTPMethod    = "http.request.method"
	AttrHTTPStatus    = "http.response.status_code"
	AttrServerAddress = "server.address"

	// Of OpenTelemetry's own, of a call of a language model.
	AttrGenAIOperation     = "gen_ai.operation.name"
	AttrGenAIProvider      = "gen_ai.provider.name"
	AttrGenAIRequestModel  = "gen_ai.request.model"
	AttrGenAIMaxTokens     = "gen_ai.request.max_tokens"
	AttrGenAITemperature   = "gen_ai.request.temperature"
	AttrGenAIStream        = "gen_ai.request.stream"
	AttrGenAIOutputType    = "gen_ai.output.type"
	AttrGenAIResponseModel = "gen_ai.response.model"
	AttrGenAIResponseID    = "gen_ai.response.id"
	AttrGenAIFinish        = "gen_ai.response.finish_reasons"
	AttrGenAIInput         = "gen_ai.usage.input_tokens"
	AttrGenAIOutput        = "gen_ai.usage.output_tokens"
)
