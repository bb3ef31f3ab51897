// Command 01-hello greets: the smallest whole program.
package main

import (
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/01-hello/hello"
)

func main() {
	cli.Main(app.Tasks(func() app.Task { return app.Consume("hello", hello.Greeter{}) }))
}
