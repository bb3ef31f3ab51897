package price_test

import (
	"errors"
	"testing"

	"github.com/ergon-framework/ergon"

	"shop/catalog"
	"shop/price"
)
