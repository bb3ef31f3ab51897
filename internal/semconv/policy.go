package semconv

// Attributes of spans that say what policy ruled.
const (
	AttrTransactionAttempt = "ergon.transaction.attempt" // that the delivery began with
	AttrConcurrency        = "ergon.concurrency"
	AttrWindow             = "ergon.window"
	AttrBackoff            = "ergon.retry.backoff"            // seconds
	AttrBackoffMultiplier  = "ergon.retry.backoff_multiplier" // of each further wait
	AttrBackoffCap         = "ergon.retry.backoff_cap"        // seconds
	AttrTimeout            = "ergon.retry.timeout"            // seconds
)
