package spec

import (
	"time"

	"github.com/ergon-framework/ergon/policy"
)

// LLM is a language model behind an endpoint that speaks OpenAI's API.
type LLM struct {
	// Where it is, as OpenAI's own is https://api.openai.com/v1; without a user, a query
	// and a fragment. Required.
	URL string `json:"url" yaml:"url"`
	// The API key, if it wants one. A secret.
	APIKey string `json:"api_key,omitzero" yaml:"api_key"`
	// Which model. Required.
	Model string `json:"model" yaml:"model"`
	// How freely it answers, from 0 to 2. Default 0.
	Temperature float64 `json:"temperature" yaml:"temperature" jsonschema:"minimum=0,maximum=2"`
	// Whether each request has a seed, made of its transaction's ID and attempt, by which
	// an endpoint that knows seeds answers the same again. Some refuse what they don't
	// know. Default false.
	Seed bool `json:"seed" yaml:"seed"`
	// The most that it answers, in tokens. 0 is what the endpoint allows. Default 1024.
	MaxTokens int `json:"max_tokens" yaml:"max_tokens" jsonschema:"minimum=0"`
}

// What an LLM says where nothing is said.
const (
	DefaultMaxTokens = 1024
	// DefaultLLMTimeout is its policy's retry.timeout: a model thinks for longer than what
	// looks things up.
	DefaultLLMTimeout = policy.Duration(time.Minute)
)

// DefaultLLM is what is in force where nothing is said. What is required is missing.
func DefaultLLM() LLM { return LLM{MaxTokens: DefaultMaxTokens} }
