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
	Values []string
}

// The types of attributes.
const (
	typeString = "string"
	typeInt    = "int"
	typeDouble = "double"
)

var (
	onTransaction = []string{SpanTransaction}
	onAttempts    = []string{SpanAttempts}
	onFailed      = []string{SpanTransaction, SpanProcess, SpanProduce, SpanSuccess, SpanException, SpanAttempts}
)

// Values of attributes.
var (
	phases     = []string{SpanFetch, "decode", SpanProcess, SpanProduce, SpanSuccess, SpanException}
	outcomes   = []string{"succeeded", "dead", "deferred", "released", "lost", "merged", "abandoned"}
	categories = []string{"BUSINESS", "SYSTEM", "TIMEOUT"}
	limits     = []string{"slots", "window", SpanProcess, SpanProduce, SpanSuccess, SpanException}
	signals    = []string{"traces", "metrics", "logs"}
	operations = []string{"fetch", "process"}
)

// Attributes are all of them, in the order of the reference page: ours, and those of
// OpenTelemetry's semantic conventions that we use.
func Attributes() []Attribute {
	return []Attribute{
		{AttrTask, "The task's name.", typeString, onTransaction, nil},
		{AttrTransactionID, "The transaction's ID.", typeString, onTransaction, nil},
		{AttrSource, "Where the transaction comes from; its ID is unique there.", typeString, onTransaction, nil},
		{AttrCorrelationID, "What the transaction belongs to, where that is not itself.", typeString, onTransaction, nil},
		{AttrConnector, "The connector that brought it.", typeString, onTransaction, nil},
		{AttrOutcome, "What became of it.", typeString, onTransaction, outcomes},
		{AttrOutputs, "How many outputs are stored.", typeInt, onTransaction, nil},
		{AttrDelivery, "Which delivery of the transaction this is, from 1; absent where the source does not count.", typeInt, onTransaction, nil},
		{AttrHandlerError, "What the exception hook failed with, if it did.", typeString, onTransaction, nil},
		{AttrCategory, "What kind of failure it was, if it failed: the same as `error.type`.", typeString, onFailed, categories},
		{AttrPhase, "The phase. Dead letters alone can be of `decode`, whose attempts are those of `process`.", typeString, onAttempts, phases},
		{AttrAttempt, "Which attempt it is, from 1; on the event, the one that follows.", typeInt, []string{SpanAttempts, EventRetry}, nil},
		{AttrMaxAttempts, "How many attempts the policy allows.", typeInt, onAttempts, nil},
		{AttrDelay, "The wait before the next attempt, in seconds.", typeDouble, []string{EventRetry}, nil},
		{AttrLimit, "Which limit: `slots`, `window`, or the phase of a bulkhead.", typeString, nil, limits},
		{AttrSignal, "What was to be exported.", typeString, nil, signals},
		{AttrErrorType, "What kind of failure it was. Absent where nothing failed.", typeString, onFailed, categories},
		{"messaging.message.id", "The transaction's ID.", typeString, onTransaction, nil},
		{"messaging.message.conversation_id", "As `ergon.transaction.correlation_id`.", typeString, onTransaction, nil},
		{"messaging.message.body.size", "The payload's size in bytes.", typeInt, onTransaction, nil},
		{"messaging.operation.name", "What is done with the message.", typeString, []string{SpanTransaction, SpanFetch}, operations},
		{"messaging.operation.type", "The same, as OpenTelemetry classifies it.", typeString, []string{SpanTransaction, SpanFetch}, []string{"receive", "process"}},
		{"messaging.batch.message_count", "How many transactions the fetch brought.", typeInt, []string{SpanFetch}, nil},
	}
}
