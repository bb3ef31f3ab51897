package semconv

// MetricKind is how a metric's numbers are to be read.
type MetricKind string

// The kinds.
const (
	KindCounter   MetricKind = "counter"   // only grows
	KindGauge     MetricKind = "gauge"     // as it is now
	KindHistogram MetricKind = "histogram" // how often, by size
)

// Metric is one metric as the outside sees it.
type Metric struct {
	Name, Unit, Description string
	Kind                    MetricKind
	// Attributes tell its series apart. None has an ID or free text for a value, so
	// that their number is bounded.
	Attributes []string
}

// Attributes of metrics. AttrErrorType is OpenTelemetry's own and holds a category:
// BUSINESS, SYSTEM or TIMEOUT. It is missing where nothing failed.
const (
	AttrErrorType = "error.type"
	AttrLimit     = "ergon.limit"  // slots, window, or the phase of a bulkhead
	AttrSignal    = "ergon.signal" // traces, metrics or logs

	AttrGenAITokenType = "gen_ai.token.type" // input or output
)

// MetricTokens is OpenTelemetry's own. It is told by a service and not by the engine, so it
// is not among Metrics.
var MetricTokens = Metric{"gen_ai.client.token.usage", "{token}", "Tokens of each answer of a language model, and of its prompt.",
	KindHistogram, []string{AttrGenAIOperation, AttrGenAIProvider, AttrGenAIRequestModel, AttrGenAITokenType, AttrServerAddress}}

// The metrics.
var (
	MetricTransactions = Metric{"ergon.transactions", "{transaction}", "Deliveries that the engine is done with, by what became of them.",
		KindCounter, []string{AttrTask, AttrOutcome, AttrErrorType}}
	MetricStarted = Metric{"ergon.transactions.started", "{transaction}", "Deliveries whose first attempt began.",
		KindCounter, []string{AttrTask}}
	MetricTransactionDuration = Metric{"ergon.transaction.duration", "s", "From the first attempt of a delivery to its settlement.",
		KindHistogram, []string{AttrTask, AttrOutcome}}
	MetricDeadLetters = Metric{"ergon.dead_letters", "{transaction}", "Transactions that stand in the dead-letter store, by the phase that failed for good.",
		KindCounter, []string{AttrTask, AttrPhase, AttrErrorType}}
	MetricOutputs = Metric{"ergon.outputs", "{output}", "Outputs that are stored.",
		KindCounter, []string{AttrTask}}
	MetricPhaseDuration = Metric{"ergon.phase.duration", "s", "How long a phase took, with its retries and the waits between them.",
		KindHistogram, []string{AttrTask, AttrPhase, AttrErrorType}}
	MetricRunning = Metric{"ergon.phase.running", "{attempt}", "Attempts that run now.",
		KindGauge, []string{AttrTask, AttrPhase}}
	MetricAttempts = Metric{"ergon.attempts", "{attempt}", "Attempts that ended.",
		KindCounter, []string{AttrTask, AttrPhase, AttrErrorType}}
	MetricRetries = Metric{"ergon.retries", "{retry}", "Failed attempts that another one follows in place.",
		KindCounter, []string{AttrTask, AttrPhase}}
	MetricTimeouts = Metric{"ergon.timeouts", "{attempt}", "Attempts that ended because their time was over.",
		KindCounter, []string{AttrTask, AttrPhase}}
	MetricBackoff = Metric{"ergon.backoff.duration", "s", "Waits that were chosen before a retry in place.",
		KindHistogram, []string{AttrTask, AttrPhase}}
	MetricStuck = Metric{"ergon.attempts.stuck", "{attempt}", "Attempts that ignored their cancelled context for stuck_after.",
		KindCounter, []string{AttrTask}}
	MetricBatch = Metric{"ergon.fetch.batch.size", "{transaction}", "Deliveries that a fetch brought.",
		KindHistogram, []string{AttrTask}}
	MetricEmpty = Metric{"ergon.fetch.empty", "{fetch}", "Fetches that brought nothing.",
		KindCounter, []string{AttrTask}}
	MetricRedeliveries = Metric{"ergon.redeliveries", "{delivery}", "Deliveries that were not the first of their transaction.",
		KindCounter, []string{AttrTask}}
	MetricLeasesLost = Metric{"ergon.leases.lost", "{lease}", "Leases that ran out while the transaction was held.",
		KindCounter, []string{AttrTask}}
	MetricSettleFailures = Metric{"ergon.settle.failures", "{settlement}", "Settlements that the source did not take and that were tried again.",
		KindCounter, []string{AttrTask}}
	MetricLimitUsed = Metric{"ergon.limit.used", "{transaction}", "What a limit admits and is taken now: slots run attempts, the window holds what is not settled.",
		KindGauge, []string{AttrTask, AttrLimit}}
	MetricLimit = Metric{"ergon.limit", "{transaction}", "How much a limit admits at once.",
		KindGauge, []string{AttrTask, AttrLimit}}
	MetricPending = Metric{"ergon.source.pending", "{transaction}", "What the source has never handed out.",
		KindGauge, []string{AttrTask}}
	MetricInFlight = Metric{"ergon.source.in_flight", "{transaction}", "What the source has handed out, to any process, and is not settled.",
		KindGauge, []string{AttrTask}}
	MetricParked = Metric{"ergon.source.parked", "{transaction}", "What waits in the store for a later attempt.",
		KindGauge, []string{AttrTask}}
	MetricReady = Metric{"ergon.ready", "{task}", "1 while the task makes progress or could if there were work, 0 otherwise.",
		KindGauge, []string{AttrTask}}
	MetricBreakerOpen = Metric{"ergon.breaker.open", "{breaker}", "1 while a circuit breaker lets nothing through.",
		KindGauge, []string{AttrTask, AttrPhase}}
	MetricDrained = Metric{"ergon.drain.transactions", "{transaction}", "What became of the deliveries that were held when the task began to stop.",
		KindCounter, []string{AttrTask, AttrOutcome}}
	MetricRestarts = Metric{"ergon.task.restarts", "{restart}", "How often the task was started again after it had failed.",
		KindCounter, []string{AttrTask}}
	MetricCallDuration = Metric{"ergon.service.call.duration", "s", "How long a call of a service took, with its retries and waits.",
		KindHistogram, []string{AttrService, AttrOperation, AttrErrorType}}
	MetricCallsRunning = Metric{"ergon.service.calls.running", "{call}", "Calls of a service that have not ended; some may wait for their turn.",
		KindGauge, []string{AttrService, AttrOperation}}
	MetricCallRetries = Metric{"ergon.service.retries", "{retry}", "Failed attempts of a call that another one followed.",
		KindCounter, []string{AttrService, AttrOperation}}
	MetricCallsRejected = Metric{"ergon.service.rejected", "{attempt}", "Attempts that an open circuit breaker did not let through.",
		KindCounter, []string{AttrService, AttrOperation}}
	MetricServiceBreakerOpen = Metric{"ergon.service.breaker.open", "{breaker}", "1 while a service's circuit breaker lets nothing through; not there where it has none.",
		KindGauge, []string{AttrService}}
	MetricServiceBreakerOpened = Metric{"ergon.service.breaker.opened", "{time}", "How often a service's circuit breaker opened.",
		KindCounter, []string{AttrService}}
	MetricExportFailures = Metric{"ergon.telemetry.failures", "{export}", "Exports of telemetry that failed; what they held is lost.",
		KindCounter, []string{AttrSignal}}
	MetricTelemetryLost = Metric{"ergon.telemetry.lost", "{item}", "Spans, log records and collections of metrics that were not exported: an export failed, or more waited than is kept.",
		KindCounter, []string{AttrSignal}}
)

// Metrics are all of them, in the order of the reference page.
func Metrics() []Metric {
	return []Metric{
		MetricTransactions, MetricStarted, MetricTransactionDuration, MetricDeadLetters, MetricOutputs,
		MetricPhaseDuration, MetricRunning, MetricAttempts, MetricRetries, MetricTimeouts, MetricBackoff, MetricStuck,
		MetricBatch, MetricEmpty, MetricRedeliveries, MetricLeasesLost, MetricSettleFailures,
		MetricLimitUsed, MetricLimit, MetricPending, MetricInFlight, MetricParked, MetricReady, MetricBreakerOpen, MetricDrained,
		MetricRestarts,
		MetricCallDuration, MetricCallsRunning, MetricCallRetries, MetricCallsRejected, MetricServiceBreakerOpen, MetricServiceBreakerOpened,
		MetricExportFailures, MetricTelemetryLost,
	}
}
