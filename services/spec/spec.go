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

// Kinds are the keys of the kinds of services, in the order of the documentation.
func Kinds() []string { return []string{"kv", "http", "sql", "llm"} }

// Kind is the key of the kind that s is, "" for one of none or of several.
func (s Service) Kind() string {
	if kinds := s.kinds(); len(kinds) == 1 {
		return kinds[0]
	}
	return ""
}

func (s Service) kinds() (out []string) {
	for i, is := range [...]bool{s.KV != nil, s.HTTP != nil, s.SQL != nil, s.LLM != nil} {
		if is {
			out = append(out, Kinds()[i])
		}
	}
	return out
}

// DefaultPolicy is the policy of a service of that kind where nothing is said.
func DefaultPolicy(kind string) policy.Phase {
	p := policy.DefaultService()
	if kind == "llm" {
		p.Retry.Timeout = DefaultLLMTimeout
	}
	return p
}
