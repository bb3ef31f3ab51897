package enrich

import (
	"context"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/llm"
	"github.com/ergon-framework/ergon/services/spec"
)

// Classifier is a language model that tells categories. It has the life and the seam of the
// model that it embeds; a program with two of them gives each such a type.
type Classifier struct{ *llm.Model }

var _ Categories = (*Classifier)(nil)

// NewClassifier asks nobody yet.
func NewClassifier(s services.Setup[spec.LLM]) (*Classifier, error) {
	model, err := llm.New(s)
	if err != nil {
		return nil, err
	}
	return &Classifier{model}, nil
}

// Answer is what the model is to say: its schema goes along with the question, and what does
// not fit it is a malformed answer, which the service's policy asks for again.
type Answer struct {
	Category Category `json:"category" jsonschema:"enum=kitchen,enum=home,enum=garden,enum=toys,enum=stationery,enum=other"`
}

// Of asks the model.
func (c *Classifier) Of(ctx context.Context, description string) (Category, error) {
	answer, err := llm.Ask[Answer](ctx, c.Model, llm.Prompt{
		System: "You sort the products of a gift shop into categories. Answer with the one that fits the description best.",
		User:   description,
	})
	return answer.Category, err
}
