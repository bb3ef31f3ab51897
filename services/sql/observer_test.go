package sql_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/sql"
	"github.com/ergon-framework/ergon/services/sql/sqltest"
)

// answers is an observer that answers for some operations.
type answers struct {
	with map[string]any
	seen []string
}

func (a *answers) Before(_ context.Context, operation string, request any) (any, bool, error) {
	a.seen = append(a.seen, fmt.Sprintf("%s %v", operation, request))
	answer, ok := a.with[operation]
	return answer, ok, nil
}

func (a *answers) After(context.Context, string, any, any, error) {}

// An observer of calls sees statements, and may answer for the database; what it prints of
// them has no arguments.
func TestObserver(t *testing.T) {
	db := sqltest.Open(t)
	find, list, change, move := db.Operation("find", services.Once), db.Operation("list", services.Once),
		db.Operation("change", services.Once), db.Operation("move", services.Once)
	o := &answers{with: map[string]any{"sql.find": "Ada", "sql.list": []int{1, 2}, "sql.change": int64(3), "sql.move": struct{}{}}}
	ctx := ergon.WithCallObserver(t.Context(), o)
	name, err := sql.One[string](ctx, find, `select name where id = $1`, "secret")
	require.NoError(t, err)
	require.Equal(t, "Ada", name)
	ids, err := sql.All[int](ctx, list, `select id`)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, ids)
	changed, err := sql.Exec(ctx, change, `update`)
	require.NoError(t, err)
	require.EqualValues(t, 3, changed)
	require.NoError(t, sql.InTx(ctx, move, func(context.Context, *sql.Tx) error { t.Error("it was run"); return nil }))
	require.Equal(t, []string{"sql.find select name where id = $1", "sql.list select id", "sql.change update", "sql.move {}"}, o.seen)
}
