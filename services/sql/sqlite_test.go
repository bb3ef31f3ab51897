package sql_test

import (
	"path/filepath"
	"testing"

	"github.com/ergon-framework/ergon/internal/sqlsuite"
	"github.com/ergon-framework/ergon/services/spec"
)

func file(t *testing.T) spec.SQL {
	return spec.SQL{URL: "sqlite:" + filepath.Join(t.TempDir(), "a shop?mode=ro#1%20.db")}
}

func TestSQLite(t *testing.T) { sqlsuite.Run(t, "sqlite", file) }
