package rates_test

import (
	"errors"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services/httpapi/httpapitest"

	"shop/rates"
)
