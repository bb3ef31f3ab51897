package sql

import (
	"database/sql/driver"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

func TestClassify(t *testing.T) {
	for want, states := range map[ergon.Category][]string{
		ergon.CategoryBusiness: {"22003", "22P02", "23505", "23503", "23514", "40002", "44000", "P0001", "P0002"},
		ergon.CategorySystem: {
			"", "08006", "0A000", "25P02", "28P01", "3D000", "3F000", "40001", "40P01", "42601", "42501", "42P01",
			"53300", "57P01", "58030", "P0000", "XX000",
		},
		ergon.CategoryTimeout: {"57014", "55P03", "25P03", "25P04"},
	} {
		for _, state := range states {
			require.Equal(t, want, classify(fmt.Errorf("x: %w", &pgconn.PgError{Code: state})), state)
		}
	}
	require.Empty(t, classify(io.ErrUnexpectedEOF), "the seam knows better")
}

// Only the server's word that it refused a commit is one.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40001"}, true},
		{&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23503"}, true},
		{pgx.ErrTxCommitRollback, true},
		{&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "40003"}, false},
		{&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, false},
		{driver.ErrBadConn, false},
		{io.ErrUnexpectedEOF, false},
	} {
		require.Equal(t, c.want, refused(fmt.Errorf("x: %w", c.err)), "%v", c.err)
	}
}
