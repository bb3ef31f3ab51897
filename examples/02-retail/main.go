// Command 02-retail scores the invoice lines of a retailer: a whole program is
// one line around a module.
package main

import (
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/examples/02-retail/retail"
)

func main() { cli.Main(retail.Module) }
