// Package domains knows who takes mail for a domain.
package domains

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
)
