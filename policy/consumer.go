package policy

// Phase is the policy of one step that runs the task's code or sends its outputs.
type Phase struct {
	// Attempts, their time, and the waits between them.
	Retry Retry `json:"retry" yaml:"retry"`
	// How many transactions may be in the phase at once.
	Bulkhead Bulkhead `json:"bulkhead" yaml:"bulkhead"`
	// When a phase that keeps failing is paused. Off by default.
	Breaker Breaker `json:"breaker" yaml:"breaker"`
	// How often an attempt may start. Off by default.
	RateLimit RateLimit `json:"rate_limit" yaml:"rate_limit"`
}

// Fetch is the policy of taking transactions from the source.
type Fetch struct {
	// Attempts of one fetch. When they are spent the loop ends with the error
	// (R095), after what runs has finished.
	Retry Retry `json:"retry" yaml:"retry"`
	// How many transactions are asked for at once.
	Batch Batch `json:"batch" yaml:"batch"`
	// The wait after a fetch that brought nothing.
	Empty Empty `json:"empty" yaml:"empty"`
	// When a source that keeps failing is left alone. Off by default.
	Breaker Breaker `json:"breaker" yaml:"breaker"`
	// Settings of the source that are none of Ergon's, handed to it as they are
	// (R083): text, numbers, booleans, lists and maps of these. A document that
	// names this key replaces all of it. Default empty.
	Extra map[string]any `json:"extra,omitzero" yaml:"extra,omitzero"`
}

// Consumer is the whole policy of a task that consumes (R083).
type Consumer struct {
	// The run as a whole.
	Loop Loop `json:"loop" yaml:"loop"`
	// Taking transactions from the source.
	Fetch Fetch `json:"fetch" yaml:"fetch"`
	// One transaction's life.
	Transaction Transaction `json:"transaction" yaml:"transaction"`
	// Running the task.
	Process Phase `json:"process" yaml:"process"`
	// Sending what the task returned.
	Produce Phase `json:"produce" yaml:"produce"`
	// Running the success hook.
	Success Phase `json:"success" yaml:"success"`
	// Running the exception hook.
	Exception Phase `json:"exception" yaml:"exception"`
	// Stopping.
	Shutdown Shutdown `json:"shutdown" yaml:"shutdown"`
}

// Clone is a copy that shares nothing with c. An engine keeps a clone of the
// policy it was given, so that nobody changes it under a running loop (R071).
func (c Consumer) Clone() Consumer {
	c.Fetch.Extra = cloneMap(c.Fetch.Extra)
	return c
}

// cloneMap copies a map of data all the way down. Data is what Validate lets
// pass: scalars, maps by text, and lists; scalars need no copy.
func cloneMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = cloneValue(v)
	}
	return out
}

func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		if v == nil {
			return v
		}
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = cloneValue(e)
		}
		return out
	default:
		return v
	}
}
