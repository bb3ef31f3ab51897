package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon/services"
)

// Tx is a transaction in progress: what One, All and Exec are asked of within InTx. It is
// used by one goroutine at a time, and no more after the closure has returned.
type Tx struct{ tx *stdsql.Tx }

// InTx runs do in a transaction, as one call of op: it is committed if do returns nil, and
// rolled back if it returns an error or panics, or the attempt's time is over.
//
// Of an Idempotent operation do is run anew, in a new transaction, when an attempt failed
// otherwise than by BUSINESS: after a deadlock, a serialization failure, a lost connection.
// So it sets what it writes to outside anew each time, and does nothing besides that can't
// be done twice. The context that it is given is the attempt's.
//
// An error that matches ErrUnknown is a commit that got no answer.
//
// PostgreSQL does nothing more in a transaction after a statement failed: return the
// error. Its isolation is read committed; a first statement `set transaction isolation
// level serializable` changes that.
func InTx(ctx context.Context, op *Operation, do func(ctx context.Context, tx *Tx) error) error {
	_, err := services.Call(ctx, op.of, struct{}{}, func(ctx context.Context, _ struct{}) (struct{}, error) {
		return struct{}{}, op.attempt(ctx, "", func(ctx context.Context, p *pool) error { return p.transact(ctx, do) })
	})
	return err
}

func (p *pool) transact(ctx context.Context, do func(context.Context, *Tx) error) error {
	var tx *stdsql.Tx
	release, err := p.begin(ctx, func(c *stdsql.Conn) (err error) {
		tx, err = c.BeginTx(ctx, nil)
		return err
	})
	defer release()
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // also when do panics; after a commit it does nothing
	if err := do(ctx, &Tx{tx}); err != nil {
		return err
	}
	// database/sql sends no commit when the context is over; one that ends while the commit
	// is under way has an error of the driver's.
	if ctx.Err() != nil {
		return fmt.Errorf("it was rolled back: %w", context.Cause(ctx))
	}
	switch err := tx.Commit(); {
	case err == nil:
		return nil
	case refused(err):
		return fmt.Errorf("commit: %w", err)
	case errors.Is(err, stdsql.ErrTxDone), err == ctx.Err(): //nolint:errorlint // the very one: it was not sent
		return fmt.Errorf("it was rolled back: %w", errors.Join(err, context.Cause(ctx)))
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

func (t *Tx) query(ctx context.Context, s Statement, read func(*stdsql.Rows) error) error {
	rows, err := t.tx.QueryContext(ctx, s.Query, s.Args...)
	if err != nil {
		return known(err)
	}
	return known(finish(rows, read))
}

func (t *Tx) exec(ctx context.Context, s Statement) (int64, error) {
	result, err := t.tx.ExecContext(ctx, s.Query, s.Args...)
	if err != nil {
		return 0, known(err)
	}
	return result.RowsAffected()
}
