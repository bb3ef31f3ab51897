// Package rates knows what a currency costs.
package rates

import (
	"context"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/spec"
)
