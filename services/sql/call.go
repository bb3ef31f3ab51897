package sql

import (
	"context"
	stdsql "database/sql"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
)

// MaxRows is the most that All returns: what it returns is held in memory.
const MaxRows = 10_000

// Querier is what a statement is asked of: an *Operation, which is a call of its own, or
// the *Tx of InTx.
type Querier interface {
	// query has read called with a statement's rows.
	query(ctx context.Context, s Statement, read func(*stdsql.Rows) error) error
	exec(ctx context.Context, s Statement) (int64, error)
}

// Statement is what an observer of calls sees as the request of an operation.
type Statement struct {
	Query string
	Args  []any
}

// String is the query without its arguments.
func (s Statement) String() string { return s.Query }

// One returns the one row that a query has: a struct has a field for each column (see
// [All]), any other type is the value of the only column. Without a row the error is
// ErrNotFound, with more than one ErrTooMany; both are BUSINESS.
func One[T any](ctx context.Context, on Querier, query string, args ...any) (T, error) {
	return ask(ctx, on, query, args, one[T])
}

// All returns all rows of a query, nil if there are none, or ErrTooMany if they are more
// than MaxRows.
//
// A column belongs to the exported field whose tag says so, db:"name", or, without a tag,
// whose name is the column's but for case and underscores: unit_price is UnitPrice. Fields
// of embedded structs count, a field with db:"-" does not. Every column needs a field and
// every field a column, so that a typo is a fault. A field for a column that may be NULL is
// a pointer, a [database/sql.Null], or a Scanner of its own.
func All[T any](ctx context.Context, on Querier, query string, args ...any) ([]T, error) {
	return ask(ctx, on, query, args, all[T])
}

// Exec runs a statement that returns no rows, and says how many it changed.
func Exec(ctx context.Context, on Querier, query string, args ...any) (changed int64, err error) {
	s := Statement{query, args}
	op, ok := on.(*Operation)
	if !ok {
		return on.exec(ctx, s)
	}
	return services.Call(ctx, op.of, s, op.exec)
}

// ask runs a query: of an operation, through the seam.
func ask[R any](ctx context.Context, on Querier, query string, args []any, read func(*stdsql.Rows) (R, error)) (R, error) {
	run := func(ctx context.Context, s Statement) (result R, err error) {
		err = on.query(ctx, s, func(rows *stdsql.Rows) (err error) {
			result, err = read(rows)
			return err
		})
		return result, err
	}
	s := Statement{query, args}
	op, ok := on.(*Operation)
	if !ok {
		return run(ctx, s)
	}
	return services.Call(ctx, op.of, s, run)
}

// query is one attempt.
func (o *Operation) query(ctx context.Context, s Statement, read func(*stdsql.Rows) error) error {
	return o.attempt(ctx, s.Query, func(ctx context.Context, p *pool) error {
		var rows *stdsql.Rows
		release, err := p.begin(ctx, func(c *stdsql.Conn) (err error) {
			rows, err = c.QueryContext(ctx, s.Query, s.Args...)
			return err
		})
		defer release()
		if err != nil {
			return err
		}
		return finish(rows, read)
	})
}

// exec is one attempt.
func (o *Operation) exec(ctx context.Context, s Statement) (changed int64, err error) {
	err = o.attempt(ctx, s.Query, func(ctx context.Context, p *pool) error {
		var result stdsql.Result
		release, err := p.begin(ctx, func(c *stdsql.Conn) (err error) {
			result, err = c.ExecContext(ctx, s.Query, s.Args...)
			return err
		})
		defer release()
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// finish reads rows and closes them. It is the last to look whether they came to their end:
// a connection that breaks looks like one.
func finish(rows *stdsql.Rows, read func(*stdsql.Rows) error) error {
	defer rows.Close() //nolint:errcheck // what it says, Err said
	if err := read(rows); err != nil {
		return err
	}
	return rows.Err()
}

// known gives an error its category where whoever sees it first is not the seam, but a
// closure. Only BUSINESS is certain: of the rest the seam knows whether it is the time that
// was over.
func known(err error) error {
	if err != nil && classify(err) == ergon.CategoryBusiness {
		return &ergon.Error{Category: ergon.CategoryBusiness, Err: err}
	}
	return err
}
