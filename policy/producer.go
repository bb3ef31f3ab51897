package policy

// Producer is the whole policy of a task that produces, from a source or from a
// sequence that the caller gives. It knows no streaming and no empty fetch: it
// ends when its input does, at its limit, or at its timeout (R084, R126).
type Producer struct {
	// The run as a whole.
	Loop ProducerLoop `json:"loop" yaml:"loop"`
	// The chunk: how many inputs are taken at once, from the source or from the
	// sequence (R119).
	Batch Batch `json:"batch" yaml:"batch"`
	// Taking inputs from the source, when there is one.
	Fetch ProducerFetch `json:"fetch" yaml:"fetch"`
	// One input's life.
	Transaction Transaction `json:"transaction" yaml:"transaction"`
	// Running the task and sending what it returned; the two are one attempt.
	Produce Phase `json:"produce" yaml:"produce"`
	// Running the success hook.
	Success Phase `json:"success" yaml:"success"`
	// Running the exception hook.
	Exception Phase `json:"exception" yaml:"exception"`
	// Stopping.
	Shutdown Shutdown `json:"shutdown" yaml:"shutdown"`
}

// ProducerLoop bounds a producer's whole run. It is Loop without streaming (R084).
type ProducerLoop struct {
	// How workers are refilled: batch finishes a chunk before the next one is taken
	// (R119), continuous gives each its next input as soon as it is free, over the
	// bounds of chunks. Default batch.
	Mode Mode `json:"mode" yaml:"mode" jsonschema:"enum=continuous,enum=batch"`
	// How many inputs run the task's code at once (R120). From 1 to 1000000; there
	// is no "unlimited". Default 256.
	Concurrency int `json:"concurrency" yaml:"concurrency" jsonschema:"minimum=1,maximum=1000000"`
	// How many inputs may be started and not yet settled. Not below concurrency,
	// since the workers beyond it could never run. Default 1024.
	Window int `json:"window" yaml:"window" jsonschema:"minimum=1,maximum=1000000"`
	// How many inputs may be held taken and not yet started in continuous mode; at
	// most concurrency. 0 is as many as concurrency, and more while attempts are so
	// short that those are begun within 25 ms. Default 0.
	Prefetch int `json:"prefetch" yaml:"prefetch" jsonschema:"minimum=0,maximum=1000000"`
	// How many inputs the loop begins before it ends (R126). 0 is no limit.
	// Default 0.
	Limit int64 `json:"limit" yaml:"limit" jsonschema:"minimum=0"`
	// How long the loop may run (R128). 0s is no limit. Default 0s.
	Timeout Duration `json:"timeout" yaml:"timeout"`
}

// Loop is the same bounds in the consumer's type, not streaming, for an engine
// that runs both with one loop.
func (l ProducerLoop) Loop() Loop {
	return Loop{
		Mode: l.Mode, Concurrency: l.Concurrency, Window: l.Window,
		Prefetch: l.Prefetch, Limit: l.Limit, Timeout: l.Timeout,
	}
}

// ProducerFetch is the policy of taking inputs from a source. Its batch is the
// producer's chunk, and an empty source ends it, so neither stands here.
type ProducerFetch struct {
	// Attempts of one fetch. When they are spent the loop ends with the error.
	Retry Retry `json:"retry" yaml:"retry"`
	// When a source that keeps failing is left alone. Off by default.
	Breaker Breaker `json:"breaker" yaml:"breaker"`
	// Settings of the source that are none of Ergon's, handed to it as they are: text,
	// numbers, booleans, lists and maps of these. A document that names this key
	// replaces all of it. Default empty.
	Extra map[string]any `json:"extra,omitzero" yaml:"extra,omitzero"`
}

// Clone is a copy that shares nothing with p (R071).
func (p Producer) Clone() Producer {
	p.Fetch.Extra = cloneMap(p.Fetch.Extra)
	return p
}
