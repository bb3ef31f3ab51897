// Package hello is the smallest task there is.
package hello

import (
	"context"

	"github.com/ergon-framework/ergon"
)

// Name is whom to greet.
type Name struct {
	Name string `json:"name"`
}

// Greeting is what to say.
type Greeting struct {
	Greeting string `json:"greeting"`
}

// Greeter greets. It may be used concurrently.
type Greeter struct{}

var _ ergon.Consumer[Name, Greeting] = Greeter{}

// Process greets by name. Nobody can't be greeted, now or later: that is a
// business error, which is not retried.
func (Greeter) Process(_ context.Context, tx ergon.Transaction[Name]) (Greeting, error) {
	name := tx.Payload().Name
	if name == "" {
		return Greeting{}, ergon.Business("the name is empty")
	}
	return Greeting{Greeting: "Hello, " + name + "!"}, nil
}
