// Command shop greets customers.
package main

import (
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
	"go.uber.org/fx"

	"shop/greet"
	"shop/names"
)
