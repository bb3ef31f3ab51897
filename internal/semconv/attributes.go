package semconv

// Attribute is one attribute of spans or metrics as the outside sees it.
type Attribute struct {
	Name, Description string
	// Type is string, int or double.
	Type string
	// Spans are the names of the spans and events that have it, of Spans. Which metrics
	// have it stands at them.
	Spans []string
	// Values are all that it can have; none where they are not bounded.
	Values []Value
}

// Value is one value of an attribute.
type Value struct{ Name, Description string }

// The types of attributes.
const (
	typeString = "string"
	typeInt    = "int"
	typeDouble = "double"
	typeBool   = "boolean"
	typeList   = "string[]"
)

var (
	onTransaction = []string{SpanTransaction}
	onAttempts    = []string{SpanAttempts}
	onReceived    = []string{SpanTransaction, SpanFetch}
	onMessaging   = []string{SpanTransaction, SpanFetch, SpanProduce}
	onBoth        = []string{SpanTransaction, SpanAttempts}
	onCategory    = []string{SpanTransaction, SpanProcess, SpanProduce, SpanSuccess, SpanException, SpanAttempts}
	onFailed      = []string{SpanTransaction, SpanProcess, SpanProduce, SpanSuccess, SpanException, SpanAttempts, SpanCall}
	onCalls       = []string{SpanCall}
)

// Values of attributes.
var (
	phases = []Value{
		{SpanFetch, "Asking the source for transactions."},
		{"decode", "Reading the payload as the task's input."},
		{SpanProcess, "The task's code."},
		{SpanProduce, "Handing the outputs to their sinks; of a producer, its code as well."},
		{SpanSuccess, "The success hook."},
		{SpanException, "The exception hook."},
	}
	outcomes = []Value{
		{"succeeded", "Everything is stored, and the source is settled."},
		{"dead", "It failed for good and stands in the dead-letter store."},
		{"deferred", "It is stored for a later attempt."},
		{"released", "It was given back, uncounted."},
		{"lost", "Its lease ran out; another delivery has it."},
		{"merged", "It took the outcome of an equal delivery."},
		{"abandoned", "It was not settled when the engine stopped, and comes back."},
	}
	categories = []Value{
		{"BUSINESS", "A rule of the domain does not hold; it is not tried again."},
		{"SYSTEM", "Something around it failed; another attempt may do better."},
		{"TIMEOUT", "Its time was over."},
	}
	limits = []Value{
		{"slots", "Attempts that run at once (loop.concurrency)."},
		{"window", "Transactions that are not settled (loop.window)."},
		{SpanProcess, "The bulkhead of that phase, where it has one."},
		{SpanProduce, "Likewise."},
		{SpanSuccess, "Likewise."},
		{SpanException, "Likewise."},
	}
	signals    = []Value{{"traces", "Spans."}, {"metrics", "Metrics."}, {"logs", "Log lines."}}
	operations = []Value{{"fetch", "On a fetch."}, {"process", "On a transaction."}, {"send", "On what is handed to sinks."}}
	kinds      = []Value{{"receive", "On a fetch."}, {"process", "On a transaction."}, {"send", "On what is handed to sinks."}}
)

// Attributes are all of them, in the order of the reference page: ours, and those of
// OpenTelemetry's semantic conventions that we use.
func Attributes() []Attribute {
	return []Attribute{
		{AttrTask, "The task's name.", typeString, onBoth, nil},
		{AttrTransactionID, "The transaction's ID.", typeString, onBoth, nil},
		{AttrTransactionAttempt, "The attempt that the delivery began with: over 1 after it was parked.", typeInt, onTransaction, nil},
		{AttrSource, "Where the transaction comes from; its ID is unique there.", typeString, onTransaction, nil},
		{AttrCorrelationID, "What the transaction belongs to, where that is not itself.", typeString, onTransaction, nil},
		{AttrConnector, "The connector that brought it.", typeString, onTransaction, nil},
		{AttrOutcome, "What became of it.", typeString, onTransaction, outcomes},
		{AttrOutputs, "How many outputs are stored.", typeInt, onTransaction, nil},
		{AttrDelivery, "Which delivery of the transaction this is, from 1; absent where the source does not count.", typeInt, onTransaction, nil},
		{AttrHandlerError, "What the exception hook failed with, if it did.", typeString, onTransaction, nil},
		{AttrCategory, "What kind of failure it was, if it failed: the same as `error.type`.", typeString, onCategory, categories},
		{AttrPhase, "The phase. Dead letters alone can be of `decode`, whose attempts are those of `process`.", typeString, onAttempts, phases},
		{AttrAttempt, "Which attempt it is, from 1; on the event, the one that follows.", typeInt, []string{SpanAttempts, EventRetry}, nil},
		{AttrMaxAttempts, "How many attempts the policy allows.", typeInt, onAttempts, nil},
		{AttrBackoff, "The wait before the first retry, in seconds.", typeDouble, onAttempts, nil},
		{AttrBackoffMultiplier, "By what each further wait is longer.", typeDouble, onAttempts, nil},
		{AttrBackoffCap, "The longest wait, in seconds; 0 is no bound.", typeDouble, onAttempts, nil},
		{AttrTimeout, "How long one attempt may take, in seconds; 0 is no bound.", typeDouble, onAttempts, nil},
		{AttrConcurrency, "How many attempts the task may run at once.", typeInt, onTransaction, nil},
		{AttrWindow, "How many transactions may be unsettled at once.", typeInt, onTransaction, nil},
		{AttrDelay, "The wait before the next attempt, in seconds.", typeDouble, []string{EventRetry}, nil},
		{AttrLimit, "Which limit: `slots`, `window`, or the phase of a bulkhead.", typeString, nil, limits},
		{AttrSignal, "What was to be exported.", typeString, nil, signals},
		{AttrService, "The service's name.", typeString, onCalls, nil},
		{AttrOperation, "What was asked of it: the service's name, a dot, and the operation's.", typeString, onCalls, nil},
		{AttrAttempts, "How many attempts the call took, where it was not one.", typeInt, onCalls, nil},
		{AttrHTTPMethod, "Of a call over HTTP, the request's method.", typeString, onCalls, nil},
		{AttrHTTPStatus, "The status of the last attempt's answer.", typeInt, onCalls, nil},
		{AttrServerAddress, "The host that was asked.", typeString, onCalls, nil},
		{AttrGenAIOperation, "Of a call of a language model: `chat`.", typeString, onCalls, nil},
		{AttrGenAIProvider, "Whose API it speaks: `openai`, whoever offers it.", typeString, onCalls, nil},
		{AttrGenAIRequestModel, "The model that was asked.", typeString, onCalls, nil},
		{AttrGenAIMaxTokens, "How many tokens it may answer, where that is bounded.", typeInt, onCalls, nil},
		{AttrGenAITemperature, "How freely it answers.", typeDouble, onCalls, nil},
		{AttrGenAIStream, "Whether the answer comes piece by piece.", typeBool, onCalls, nil},
		{AttrGenAIOutputType, "`json` where the answer has a Go type, else `text`.", typeString, onCalls, nil},
		{AttrGenAIResponseModel, "The model that answered, as the endpoint says.", typeString, onCalls, nil},
		{AttrGenAIResponseID, "The endpoint's ID of the answer.", typeString, onCalls, nil},
		{AttrGenAIFinish, "Why the answer ended: `stop`, `length`, `content_filter`.", typeList, onCalls, nil},
		{AttrGenAIInput, "Tokens of the prompt, of the last attempt.", typeInt, onCalls, nil},
		{AttrGenAIOutput, "Tokens of the answer, of the last attempt.", typeInt, onCalls, nil},
		{AttrErrorType, "What kind of failure it was. Absent where nothing failed.", typeString, onFailed, categories},
		{"messaging.message.id", "The transaction's ID.", typeString, onTransaction, nil},
		{"messaging.message.conversation_id", "As `ergon.transaction.correlation_id`.", typeString, onTransaction, nil},
		{"messaging.message.body.size", "The payload's size in bytes.", typeInt, onTransaction, nil},
		{"messaging.system", "The transport: `nats`.", typeString, onMessaging, nil},
		{"messaging.destination.name", "Where the transaction came from: of NATS, the stream.", typeString, onReceived, nil},
		{"messaging.consumer.group.name", "Who shares it: of NATS, the durable consumer.", typeString, onReceived, nil},
		{"messaging.operation.name", "What is done with the message.", typeString, onMessaging, operations},
		{"messaging.operation.type", "The same, as OpenTelemetry classifies it.", typeString, onMessaging, kinds},
		{"exception.type", "The error's Go type.", typeString, []string{EventException}, nil},
		{"exception.message", "What it says.", typeString, []string{EventException}, nil},
		{"exception.stacktrace", "Where the code panicked, if it did.", typeString, []string{EventException}, nil},
		{"messaging.batch.message_count", "How many transactions the fetch brought.", typeInt, []string{SpanFetch}, nil},
	}
}
