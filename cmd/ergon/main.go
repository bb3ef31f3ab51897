// Command ergon is the stock binary: every command, and the retail example's
// task to try them on.
package main

import (
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

func main() { cli.Main(retail.Module) }
