// Package llmtest is an endpoint for tests of code that asks a language model through llm.
// It listens on this machine and speaks OpenAI's chat API, streams included, so the client
// under test is the real one, with its policy, its schemas and its errors; what the model
// answers is a function:
//
//	endpoint := llmtest.New(t, func(r llmtest.Request) llmtest.Answer {
//		if strings.Contains(r.User, "lottery") {
//			return llmtest.JSON(Verdict{Spam: true})
//		}
//		return llmtest.JSON(Verdict{})
//	})
//	model, err := llm.New(endpoint.Setup("judge"))
//
// An answer can be late, malformed, refused or cut, and the endpoint can fail: see Answer.
// Whoever comes with another key than Setup's gets a 401.
package llmtest
