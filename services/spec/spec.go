// Package spec holds what a file says of services, as data: how each is reached, and the
// policy of its calls. It knows no client library, so whoever reads the file links none.
package spec

import "github.com/ergon-framework/ergon/policy"

// Service is one service of services.NAME: exactly one kind, and the policy of its calls.
type Service struct {
	// A store of keys and values, in a bucket of JetStream.
	KV *KV `json:"kv,omitzero" yaml:"kv"`
	// A JSON API over HTTP.
	HTTP *HTTP `json:"http,omitzero" yaml:"http"`
	// A database: PostgreSQL, or SQLite in a file.
	SQL *SQL `json:"sql,omitzero" yaml:"sql"`
	// A language model, behind an endpoint that speaks OpenAI's API.
	LLM *LLM `json:"llm,omitzero" yaml:"llm"`
	// What bounds its calls: retry.timeout each attempt, retry the attempts of what may be
	// done twice, bulkhead, rate_limit and breaker all calls together. Default: three
	// attempts of 5s (of a model, of 60s), no limits.
	Policy policy.Phase `json:"policy" yaml:"policy"`
}
