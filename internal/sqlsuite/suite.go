// Package sqlsuite holds what every database behind services/sql must do, for the tests of
// the embedded one there, and of real ones in test/peers.
package sqlsuite

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// Where says where a database is that is empty, and the test's alone.
type Where func(t *testing.T) spec.SQL

// Run runs all of it.
func Run(t *testing.T, system string, where Where) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Where)
	}{
		{"rows", rows},
		{"structs", structs},
		{"values that don't fit", misfits},
		{"many rows", many},
		{"failures have categories", categories},
		{"a transaction is all or nothing", transactions},
		{"a transaction that is run anew", anew},
		{"a transaction whose time is over", transactionTime},
		{"many at once", atOnce},
		{"a statement's time", statementTime},
		{"a pool that is used up", usedUp},
		{"a life", life},
		{"the pool's metrics", metrics},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, where) })
	}
	t.Run("spans", func(t *testing.T) { spans(t, system, where) })
}

// Setup is of a database named shop, with a policy that has no time to lose.
func Setup(at spec.SQL) services.Setup[spec.SQL] {
	p := policy.DefaultService()
	p.Retry.Backoff, p.Retry.Jitter = policy.Duration(time.Millisecond), 0
	return services.Setup[spec.SQL]{Name: "shop", Config: at, Policy: p}
}

// Start makes and starts one, which the test stops.
func Start(t *testing.T, s services.Setup[spec.SQL]) *sql.DB {
	t.Helper()
	db, err := sql.New(s)
	require.NoError(t, err)
	require.NoError(t, db.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, db.Stop(context.WithoutCancel(t.Context()))) })
	return db
}

// Fresh is one with a table of items, and what changes its policy.
func Fresh(t *testing.T, where Where, change func(*services.Setup[spec.SQL])) *sql.DB {
	t.Helper()
	s := Setup(where(t))
	if change != nil {
		change(&s)
	}
	db := Start(t, s)
	_, err := sql.Exec(t.Context(), db.Operation("make", services.Once),
		`create table items (id integer primary key, name text not null unique, price integer, sold_on timestamp)`)
	require.NoError(t, err)
	return db
}

// put puts items 1 to n into the table.
func put(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	op := db.Operation("put", services.Idempotent)
	for id := range n {
		changed, err := sql.Exec(t.Context(), op, `insert into items (id, name) values ($1, $2)`, id+1, string(rune('a'+id)))
		require.NoError(t, err)
		require.EqualValues(t, 1, changed)
	}
}

// count is how many items there are, by an operation that is named anew each time.
func count(t *testing.T, op *sql.Operation) int {
	t.Helper()
	n, err := sql.One[int](t.Context(), op, `select count(*) from items`)
	require.NoError(t, err)
	return n
}

// endless counts for ever.
const endless = `with recursive c(i) as (select 1 union all select i + 1 from c) select count(*) from c`

// short gives attempts this long, and one of them.
func short(d time.Duration) func(*services.Setup[spec.SQL]) {
	return func(s *services.Setup[spec.SQL]) {
		s.Policy.Retry.Timeout, s.Policy.Retry.MaxAttempts = policy.Duration(d), 1
	}
}
