package sql_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// Account is a row.
type Account struct {
	ID    int
	Pence int `db:"balance"`
}

// Bank is a service that stands on a database.
type Bank struct{ account, move *sql.Operation }

// NewBank names what it does.
func NewBank(db *sql.DB) *Bank {
	return &Bank{account: db.Operation("account", services.Idempotent), move: db.Operation("move", services.Once)}
}

// Account finds one.
func (b *Bank) Account(ctx context.Context, id int) (Account, error) {
	return sql.One[Account](ctx, b.account, `select id, balance from accounts where id = $1`, id)
}

// Move moves money, all or none of it.
func (b *Bank) Move(ctx context.Context, from, to, pence int) error {
	const change = `update accounts set balance = balance + $1 where id = $2`
	return sql.InTx(ctx, b.move, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := sql.Exec(ctx, tx, change, pence, to); err != nil {
			return err
		}
		_, err := sql.Exec(ctx, tx, change, -pence, from)
		return err
	})
}

func Example() {
	ctx := context.Background()
	db, err := sql.New(services.Setup[spec.SQL]{Name: "bank", Config: spec.SQL{URL: "sqlite::memory:"}})
	if err != nil {
		panic(err)
	}
	if err := db.Start(ctx); err != nil {
		panic(err)
	}
	defer db.Stop(ctx) //nolint:errcheck // it is in memory
	_, err = sql.Exec(ctx, db.Operation("make", services.Once),
		`create table accounts (id integer primary key, balance integer check (balance >= 0)); insert into accounts values (1, 500), (2, 0)`)
	if err != nil {
		panic(err)
	}

	bank := NewBank(db)
	fmt.Println(bank.Move(ctx, 1, 2, 300))
	fmt.Println(bank.Move(ctx, 1, 2, 300))
	fmt.Println(bank.Account(ctx, 2))
	_, err = bank.Account(ctx, 3)
	fmt.Println(errors.Is(err, sql.ErrNotFound), err)
	// Output:
	// <nil>
	// BUSINESS: bank.move: constraint failed: CHECK constraint failed: balance >= 0 (275)
	// {2 300} <nil>
	// true BUSINESS: bank.account: there is no such row
}
