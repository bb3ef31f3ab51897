package domains_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"

	"shop/domains"
)
