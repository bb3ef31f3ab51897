package main

import (
	"errors"
	"testing"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/kv"
	"github.com/ergon-framework/ergon/services/kv/kvtest"
	"github.com/ergon-framework/ergon/services/llm/llmtest"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql/sqltest"
)
