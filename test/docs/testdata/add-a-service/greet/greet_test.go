package greet_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"

	"shop/greet"
)
