// Package llm asks a language model behind an endpoint that speaks OpenAI's chat API: with
// an answer of a Go type, as text, or as a stream of it.
//
//	type Verdict struct {
//		Spam   bool   `json:"spam"`
//		Reason string `json:"reason" jsonschema:"description=in one sentence"`
//	}
//
//	verdict, err := llm.Ask[Verdict](ctx, model, llm.Prompt{System: "You judge mails.", User: mail})
//
// Every call goes through the service's seam, see package services: its policy alone says
// what is tried again. How a call fails:
//
//   - 408, 429, 5xx and what goes wrong with a connection is SYSTEM or TIMEOUT, and tried
//     again; a Retry-After is kept to, up to an hour.
//   - An answer that is not what was asked for is SYSTEM, and tried again: [ErrMalformed].
//   - 401, 403 and 404 are SYSTEM, and not tried again in place: the key, the URL or the
//     model's name is wrong, and no transaction.
//   - Every other status is BUSINESS: a prompt that is too long, say. So are an answer that
//     the model refused ([ErrRefused]), that was filtered ([ErrFiltered]), or that did not
//     fit in max_tokens ([ErrCut]).
//
// The API key is in no error, log line or span, nor in what a Model prints as; neither is a
// prompt or an answer, but for how a malformed one begins. The environment, OPENAI_* among it, is not
// read. For tests there is an endpoint to script: package llmtest.
package llm
