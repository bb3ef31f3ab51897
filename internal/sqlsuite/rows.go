package sqlsuite

import (
	stdsql "database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/sql"
)

func rows(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	find, change := db.Operation("find", services.Idempotent), db.Operation("change", services.Once)
	put(t, db, 3)

	name, err := sql.One[string](t.Context(), find, `select name from items where id = $1`, 2)
	require.NoError(t, err)
	require.Equal(t, "b", name)

	_, err = sql.One[string](t.Context(), find, `select name from items where id = $1`, 9)
	require.EqualError(t, err, "BUSINESS: shop.find: there is no such row")
	require.ErrorIs(t, err, sql.ErrNotFound)
	_, err = sql.One[string](t.Context(), find, `select name from items`)
	require.ErrorIs(t, err, sql.ErrTooMany)
	require.ErrorIs(t, err, ergon.CategoryBusiness)

	names, err := sql.All[string](t.Context(), find, `select name from items where id > $1 order by id`, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, names)
	names, err = sql.All[string](t.Context(), find, `select name from items where id > $1`, 9)
	require.NoError(t, err)
	require.Empty(t, names)

	changed, err := sql.Exec(t.Context(), change, `update items set price = $1 where id <> $2`, 5, 1)
	require.NoError(t, err)
	require.EqualValues(t, 2, changed)
	changed, err = sql.Exec(t.Context(), change, `delete from items where id = $1`, 9)
	require.NoError(t, err)
	require.Zero(t, changed)
}

type priced struct {
	Price  *int
	SoldOn stdsql.Null[time.Time]
}

type item struct {
	ID    int
	Label string `db:"name"`
	priced
	Note string `db:"-"`
}

func structs(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	find, add := db.Operation("find", services.Idempotent), db.Operation("add", services.Once)
	put(t, db, 1)
	sold := time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC)
	_, err := sql.Exec(t.Context(), add, `insert into items values ($1, $2, $3, $4)`, 2, "b", 325, sold)
	require.NoError(t, err)

	got, err := sql.All[item](t.Context(), find, `select sold_on, id, name, price from items order by id`)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, item{ID: 1, Label: "a"}, got[0])
	require.Equal(t, "b", got[1].Label)
	require.Equal(t, 325, *got[1].Price)
	require.True(t, got[1].SoldOn.Valid)
	require.True(t, sold.Equal(got[1].SoldOn.V), "%v", got[1].SoldOn.V)

	when, err := sql.One[time.Time](t.Context(), find, `select sold_on from items where id = 2`)
	require.NoError(t, err, "a struct that is one value")
	require.True(t, sold.Equal(when))
}

func misfits(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	find := db.Operation("find", services.Once)
	put(t, db, 1)
	ask := map[string]func(string) error{
		"struct": func(q string) error { _, err := sql.One[item](t.Context(), find, q); return err },
		"value":  func(q string) error { _, err := sql.One[string](t.Context(), find, q); return err },
		"int":    func(q string) error { _, err := sql.One[int](t.Context(), find, q); return err },
		"twice": func(q string) error {
			_, err := sql.One[struct {
				A int `db:"id"`
				B int `db:"id"`
			}](t.Context(), find, q)
			return err
		},
		"hidden": func(q string) error {
			_, err := sql.One[struct {
				id int `db:"id"` //nolint:unused // that is what is tried
			}](t.Context(), find, q)
			return err
		},
	}
	for _, c := range []struct{ of, query, says string }{
		{"struct", `select id, name, price, sold_on, 1 as prise from items`, `no field for the column "prise"`},
		{"struct", `select id, name, price, sold_on, 2 as id from items`, `no field for the column "id"`},
		{"struct", `select id, name, price from items`, `SoldOn has no column`},
		{"value", `select id, name from items`, "a string is one column's value, and the query has 2 columns: id, name"},
		{"int", `select name from items`, "converting"},
		{"int", `select price from items`, "NULL"},
		{"twice", `select id from items`, `two fields for the column "id"`},
		{"hidden", `select id from items`, "not exported"},
	} {
		err := ask[c.of](c.query)
		require.ErrorContains(t, err, c.says)
		require.ErrorIs(t, err, ergon.CategorySystem, "it is the program's fault, and no transaction's")
	}
}

func many(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	find := db.Operation("find", services.Idempotent)
	const numbers = `with recursive c(i) as (select 1 union all select i + 1 from c where i < $1) select i from c`
	got, err := sql.All[int](t.Context(), find, numbers, sql.MaxRows)
	require.NoError(t, err)
	require.Len(t, got, sql.MaxRows)
	require.Equal(t, sql.MaxRows, got[sql.MaxRows-1])
	got, err = sql.All[int](t.Context(), find, numbers, sql.MaxRows+1)
	require.ErrorIs(t, err, sql.ErrTooMany)
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	require.Empty(t, got)
}

func categories(t *testing.T, where Where) {
	db := Fresh(t, where, nil)
	op := db.Operation("change", services.Idempotent)
	put(t, db, 1)
	retries := func() int64 {
		for _, o := range db.Seam().Metrics().Operations {
			if o.Name == op.Name() {
				return o.Retries
			}
		}
		return -1
	}
	for _, c := range []struct {
		name, query string
		args        []any
		want        ergon.Category
		retries     int64
	}{
		{"a key that is taken", `insert into items (id, name) values ($1, 'z')`, []any{1}, ergon.CategoryBusiness, 0},
		{"a name that is taken", `insert into items (id, name) values (7, $1)`, []any{"a"}, ergon.CategoryBusiness, 0},
		{"nothing where something must be", `insert into items (id, name) values ($1, null)`, []any{7}, ergon.CategoryBusiness, 0},
		{"a table that there is not", `insert into itms (id) values ($1)`, []any{7}, ergon.CategorySystem, 2},
		{"no SQL", `insert item $1`, []any{7}, ergon.CategorySystem, 2},
	} {
		before := retries()
		_, err := sql.Exec(t.Context(), op, c.query, c.args...)
		require.ErrorIs(t, err, c.want, c.name)
		require.Equal(t, c.retries, retries()-before, c.name)
		require.ErrorContains(t, err, "shop.change: ")
		require.Equal(t, 1, len(errorsOf(err)), "%s: the driver's error is found: %v", c.name, err)
	}
}

// errorsOf are the codes that a driver's error has.
func errorsOf(err error) (codes []string) {
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) {
		codes = append(codes, pg.SQLState())
	}
	var lite interface{ Code() int }
	if errors.As(err, &lite) {
		codes = append(codes, "sqlite")
	}
	return codes
}
