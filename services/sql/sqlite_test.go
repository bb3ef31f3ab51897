package sql_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/sqlsuite"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

func file(t *testing.T) spec.SQL {
	return spec.SQL{URL: "sqlite:" + filepath.Join(t.TempDir(), "a shop?mode=ro#1%20.db")}
}

func TestSQLite(t *testing.T) { sqlsuite.Run(t, "sqlite", file) }

// How a file is opened.
func TestSQLiteSettings(t *testing.T) {
	db := sqlsuite.Fresh(t, file, nil)
	op := db.Operation("any", services.Once)
	mode, err := sql.One[string](t.Context(), op, `pragma journal_mode`)
	require.NoError(t, err)
	require.Equal(t, "wal", mode)
	wait, err := sql.One[int](t.Context(), op, `pragma busy_timeout`)
	require.NoError(t, err)
	require.Equal(t, 5000, wait, "as long as an attempt")
	_, err = sql.Exec(t.Context(), op, `create table parts (item integer references items)`)
	require.NoError(t, err)
	_, err = sql.Exec(t.Context(), op, `insert into parts values (9)`)
	require.ErrorContains(t, err, "FOREIGN KEY")
	require.ErrorIs(t, err, ergon.CategoryBusiness)
}

// Transactions that read what they write next have the write lock before they read: none
// fails half-way, or writes what another one has made old.
func TestSQLiteReadsThenWrites(t *testing.T) {
	db := sqlsuite.Fresh(t, file, nil)
	once := db.Operation("raise", services.Once)
	_, err := sql.Exec(t.Context(), once, `insert into items values (1, 'a', 0, null)`)
	require.NoError(t, err)
	const writers, times = 4, 20
	errs := make(chan error, writers*times)
	for range writers {
		go func() {
			for range times {
				errs <- sql.InTx(t.Context(), once, func(ctx context.Context, tx *sql.Tx) error {
					n, err := sql.One[int](ctx, tx, `select price from items where id = 1`)
					if err == nil {
						_, err = sql.Exec(ctx, tx, `update items set price = $1 where id = 1`, n+1)
					}
					return err
				})
			}
		}()
	}
	for range writers * times {
		require.NoError(t, <-errs)
	}
	n, err := sql.One[int](t.Context(), once, `select price from items`)
	require.NoError(t, err)
	require.Equal(t, writers*times, n)
}

// Rows that break off are no shorter list.
func TestRowsThatBreakOff(t *testing.T) {
	db := sqlsuite.Fresh(t, file, nil)
	op := db.Operation("any", services.Once)
	const query = `with recursive c(i) as (select 1 union all select i + 1 from c where i < 9)
		select case i when 5 then abs(-9223372036854775808) else i end from c`
	_, err := sql.All[int](t.Context(), op, query)
	require.ErrorContains(t, err, "integer overflow")
	err = sql.InTx(t.Context(), op, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.All[int](ctx, tx, query)
		return err
	})
	require.ErrorContains(t, err, "integer overflow")
	_, err = sql.One[int](t.Context(), op, `select abs(-9223372036854775808)`)
	require.ErrorContains(t, err, "integer overflow")
	require.NotErrorIs(t, err, sql.ErrNotFound)
}

// A commit that a constraint forbids leaves nothing behind: no lock, and no transaction on
// the connection.
func TestSQLiteCommitRefused(t *testing.T) {
	db := sqlsuite.Fresh(t, file, func(s *services.Setup[spec.SQL]) { s.Config.Connections, s.Config.Idle = 1, 1 })
	op := db.Operation("any", services.Once)
	_, err := sql.Exec(t.Context(), op, `create table parts (item integer references items deferrable initially deferred)`)
	require.NoError(t, err)
	err = sql.InTx(t.Context(), op, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, `insert into parts values (9)`)
		return err
	})
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	require.NotErrorIs(t, err, sql.ErrUnknown)
	n, err := sql.One[int](t.Context(), op, `select count(*) from parts`)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, sql.InTx(t.Context(), op, func(context.Context, *sql.Tx) error { return nil }), "the connection can begin another")
}
