package sqlsuite

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/sql"
)

const add = `insert into items (id, name) values ($1, $2)`

func transactions(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	move, find := db.Operation("move", services.Once), db.Operation("find", services.Idempotent)

	err := sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
		for id, name := range []string{"a", "b"} {
			if _, err := sql.Exec(ctx, tx, add, id, name); err != nil {
				return err
			}
		}
		n, err := sql.One[int](ctx, tx, `select count(*) from items`)
		require.NoError(t, err)
		require.Equal(t, 2, n, "it sees what it did")
		require.Zero(t, count(t, find), "others don't")
		_, err = sql.One[string](ctx, tx, `select name from items where id = $1`, 9)
		require.ErrorIs(t, err, sql.ErrNotFound)
		require.ErrorIs(t, err, ergon.CategoryBusiness)
		all, err := sql.All[string](ctx, tx, `select name from items order by id`)
		require.Equal(t, []string{"a", "b"}, all)
		return err
	})
	require.NoError(t, err)
	require.Equal(t, 2, count(t, find))

	refused := errors.New("refused")
	var kept *sql.Tx
	err = sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
		kept = tx
		_, err := sql.Exec(ctx, tx, `delete from items`)
		require.NoError(t, err)
		return refused
	})
	require.EqualError(t, err, "SYSTEM: shop.move: refused")
	require.ErrorIs(t, err, refused)
	_, err = sql.Exec(t.Context(), kept, `delete from items`)
	require.Error(t, err, "it is over")
	require.Equal(t, 2, count(t, find))

	err = sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, `delete from items`)
		require.NoError(t, err)
		panic("a slip")
	})
	require.EqualError(t, err, "SYSTEM: shop.move: panic: a slip")
	require.Equal(t, 2, count(t, find))

	err = sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, add, 7, "a")
		require.ErrorIs(t, err, ergon.CategoryBusiness, "a closure is told the category too")
		return err
	})
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	require.Equal(t, 2, count(t, find))
}

func anew(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	move, once := db.Operation("move", services.Idempotent), db.Operation("once", services.Once)
	find := db.Operation("find", services.Idempotent)
	runs := 0
	fails := func(times int) func(context.Context, *sql.Tx) error {
		runs = 0
		return func(ctx context.Context, tx *sql.Tx) error {
			_, err := sql.Exec(ctx, tx, add, 1, "a")
			require.NoError(t, err, "nothing is left of an earlier run")
			if runs++; runs <= times {
				return errors.New("deadlock")
			}
			return nil
		}
	}
	require.Error(t, sql.InTx(t.Context(), once, fails(1)))
	require.Equal(t, 1, runs)
	require.NoError(t, sql.InTx(t.Context(), move, fails(2)))
	require.Equal(t, 3, runs)
	require.Equal(t, 1, count(t, find))
}

func transactionTime(t *testing.T, where Where) {
	db := Fresh(t, where, short(300*time.Millisecond))
	move, find := db.Operation("move", services.Once), db.Operation("find", services.Idempotent)
	err := sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, add, 1, "a")
		require.NoError(t, err)
		<-ctx.Done()
		return nil // as if nothing were
	})
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	require.NotErrorIs(t, err, sql.ErrUnknown)
	require.ErrorContains(t, err, "rolled back")
	require.Zero(t, count(t, find))

	ctx, cancel := context.WithCancel(t.Context())
	err = sql.InTx(ctx, move, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, add, 1, "a")
		require.NoError(t, err)
		cancel() // the process is to end
		_, err = sql.Exec(ctx, tx, add, 2, "b")
		return err
	})
	require.ErrorIs(t, err, ergon.CategorySystem)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, count(t, find))
}

// Transactions that all want one row wait for one another, and none is lost.
func atOnce(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	put(t, db, 1)
	raise, find := db.Operation("raise", services.Idempotent), db.Operation("find", services.Idempotent)
	const writers, times = 8, 10
	errs := make(chan error, writers)
	for range writers {
		go func() {
			for range times {
				err := sql.InTx(t.Context(), raise, func(ctx context.Context, tx *sql.Tx) error {
					_, err := sql.Exec(ctx, tx, `update items set price = coalesce(price, 0) + 1 where id = 1`)
					return err
				})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		require.NoError(t, <-errs)
	}
	n, err := sql.One[int](t.Context(), find, `select price from items`)
	require.NoError(t, err)
	require.Equal(t, writers*times, n)
}

func statementTime(t *testing.T, where Where) {
	db := Fresh(t, where, short(300*time.Millisecond))
	op, find := db.Operation("endless", services.Idempotent), db.Operation("find", services.Idempotent)
	_, err := sql.One[int](t.Context(), op, endless)
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	require.ErrorContains(t, err, "shop.endless: it took longer than 300ms")
	_, err = sql.Exec(t.Context(), op, endless)
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	require.Zero(t, count(t, find), "the pool is as good as before")
	require.NoError(t, db.Health())
}
