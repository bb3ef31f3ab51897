package sqltest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/engine"
	"github.com/ergon-framework/ergon/ergontest"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/sql"
	"github.com/ergon-framework/ergon/services/sql/sqltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schema = `create table customers (id integer primary key, name text not null); insert into customers values (1, 'Ada')`

// A test of a user's, with virtual time: three attempts with waits cost none.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := sqltest.Open(t, schema)
		find := db.Operation("customer", services.Idempotent)
		ask := func() (string, error) {
			return sql.One[string](t.Context(), find, `select name from customers where id = $1`, 1)
		}
		lost := errors.New("lost")
		db.Fail("sql.customer", 2, lost)
		name, err := ask()
		require.NoError(t, err)
		require.Equal(t, "Ada", name)

		db.Fail("sql.customer", -1, lost)
		_, err = ask()
		require.EqualError(t, err, "SYSTEM: sql.customer: lost (after 3 attempts)")
		db.Fail("sql.customer", 1, ergon.Business("a rule"))
		_, err = ask()
		require.EqualError(t, err, "BUSINESS: sql.customer: a rule")
		db.Fail("sql.customer", 0, nil)

		began := time.Now()
		db.Delay("sql.customer", 6*time.Second)
		_, err = ask()
		require.ErrorIs(t, err, ergon.CategoryTimeout)
		require.Greater(t, time.Since(began), 15*time.Second)
		db.Delay("sql.customer", time.Second)
		_, err = ask()
		require.NoError(t, err)
	})
}

func TestLose(t *testing.T) {
	db := sqltest.Open(t, schema)
	add := db.Operation("add", services.Once)
	find := db.Operation("customers", services.Idempotent)
	db.Lose("sql.add", 1, nil)
	err := sql.InTx(t.Context(), add, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, `insert into customers values (2, 'Grace')`)
		return err
	})
	require.ErrorIs(t, err, sql.ErrUnknown)
	require.ErrorIs(t, err, ergon.CategorySystem)
	names, err := sql.All[string](t.Context(), find, `select name from customers order by id`)
	require.NoError(t, err)
	require.Equal(t, []string{"Ada", "Grace"}, names, "it was committed all the same")
}

// task greets customers, whom it looks up.
type task struct {
	find func(context.Context, int) (string, error)
}

func (g task) Process(ctx context.Context, tx ergon.Transaction[int]) (string, error) {
	return g.find(ctx, tx.Payload())
}

// The kit for tasks has a bubble of virtual time of its own: a database that was opened
// outside of it answers there as well.
func TestWithinATask(t *testing.T) {
	db := sqltest.Open(t, schema)
	find := db.Operation("customer", services.Idempotent)
	greeter := engine.Consume("greet", task{func(ctx context.Context, id int) (string, error) {
		return sql.One[string](ctx, find, `select name from customers where id = $1`, id)
	}})
	db.Fail("sql.customer", 4, errors.New("lost"))
	got := ergontest.Run(t, greeter, ergon.New(1), ergon.New(2))
	got[0].Expect(t, nil)
	require.Equal(t, []string{"Ada"}, ergontest.Sent[string](t, got[0]))
	got[1].Expect(t, sql.ErrNotFound)
}
