package price_test

import (
	"errors"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"
	"github.com/ergon-framework/ergon/policy"

	"shop/catalog"
	"shop/price"
)
