// Command shop enriches orders.
package main

import (
	"context"
	"errors"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/app"
	"github.com/ergon-framework/ergon/cli"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/httpapi"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/llm"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
	"go.uber.org/fx"
)
