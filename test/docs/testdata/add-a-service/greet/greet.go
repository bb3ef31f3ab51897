// Package greet greets customers.
package greet

import (
	"context"

	"github.com/ergon-framework/ergon"
)
