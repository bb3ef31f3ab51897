package enrich

import (
	"context"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// CustomerTable is a table of customers. It has the life and the seam of the database that
// it embeds.
type CustomerTable struct {
	*sql.DB
	exists, fill *sql.Operation
}

var _ Customers = (*CustomerTable)(nil)

// NewCustomerTable opens nothing yet: that is Start's.
func NewCustomerTable(s services.Setup[spec.SQL]) (*CustomerTable, error) {
	db, err := sql.New(s)
	if err != nil {
		return nil, err
	}
	return &CustomerTable{db, db.Operation("exists", services.Idempotent), db.Operation("fill", services.Idempotent)}, nil
}

// Exists reports whether there is such a customer.
func (c *CustomerTable) Exists(ctx context.Context, id string) (bool, error) {
	return sql.One[bool](ctx, c.exists, `select exists (select 1 from customers where id = $1)`, id)
}

// Fill makes the table where it is missing, with invented customers in it.
func (c *CustomerTable) Fill(ctx context.Context) error {
	return sql.InTx(ctx, c.fill, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := sql.Exec(ctx, tx, `create table if not exists customers (id text primary key)`); err != nil {
			return err
		}
		filled, err := sql.One[bool](ctx, tx, `select exists (select 1 from customers)`)
		if err != nil || filled {
			return err
		}
		_, err = sql.Exec(ctx, tx, `insert into customers
			with recursive n (id) as (select 20001 union all select id + 1 from n where id < 24000)
			select cast(id as text) from n where id <> 21170`)
		return err
	})
}
