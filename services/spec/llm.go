package spec

// LLM is a language model behind an endpoint that speaks OpenAI's API.
type LLM struct {
	// Where it is, as OpenAI's own is https://api.openai.com/v1. Required.
	URL string `json:"url" yaml:"url"`
	// The API key, if it wants one.
	APIKey string `json:"api_key,omitzero" yaml:"api_key"`
	// Which model. Required.
	Model string `json:"model" yaml:"model"`
	// How freely it answers, from 0 to 2. Default 0.
	Temperature float64 `json:"temperature" yaml:"temperature" jsonschema:"minimum=0,maximum=2"`
	// The most that it answers, in tokens. 0 is what the endpoint allows. Default 1024.
	MaxTokens int `json:"max_tokens" yaml:"max_tokens" jsonschema:"minimum=0"`
}
