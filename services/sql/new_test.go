package sql_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// Whatever is wrong with what is configured is said without the password.
func TestFaultsOfTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		config spec.SQL
		says   string
	}{
		{spec.SQL{}, "postgres://user@host:5432/database or sqlite:PATH"},
		{spec.SQL{URL: "sqlite:"}, "sqlite:PATH"},
		{spec.SQL{URL: "mysql://u:hush@h/d"}, "url has the form"},
		{spec.SQL{URL: "postgres:hush"}, "url has the form"},
		{spec.SQL{URL: "postgres://u:hush%zz@h/d"}, "url has the form"},
		{spec.SQL{URL: "postgres://u:hush#hush@h:port/d"}, "url has the form"},
		{spec.SQL{URL: "postgres://u:hush@h/d?sslmode=perhaps"}, "sslmode is invalid"},
		{spec.SQL{URL: "postgres://u@h/d?sslmode=perhaps&password=hush"}, "sslmode is invalid"},
		{spec.SQL{URL: "postgres://u@h/d?connect_timeout=soon&sslpassword=hush", Password: "hush"}, "connect_timeout"},
		{spec.SQL{URL: "postgres://u:hush@h/d", Password: "hush"}, "leave one out"},
		{spec.SQL{URL: "sqlite:x.db", Password: "hush"}, "SQLite has none"},
		{spec.SQL{URL: "sqlite:x.db", Connections: -1}, "connections is at least 1"},
		{spec.SQL{URL: "sqlite:x.db", Idle: 3}, "connections is at least 1"},
		{spec.SQL{URL: "sqlite:x.db", Connections: 1, Lifetime: -1}, "not negative"},
	} {
		_, err := sql.New(services.Setup[spec.SQL]{Name: "shop", Config: c.config})
		require.ErrorContains(t, err, c.says)
		require.ErrorContains(t, err, `service "shop": `)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "hush")
	}
	_, err := sql.New(services.Setup[spec.SQL]{Name: "No Name", Config: spec.SQL{URL: "sqlite:x.db"}})
	require.ErrorContains(t, err, "name")
	_, err = sql.New(services.Setup[spec.SQL]{Name: "shop", Config: spec.SQL{URL: "sqlite:x.db"}, Policy: policy.Phase{Retry: policy.Retry{MaxAttempts: -1}}})
	require.ErrorContains(t, err, "policy")
}

// A database that is printed shows nothing of how it is reached.
func TestNothingIsPrinted(t *testing.T) {
	db, err := sql.New(services.Setup[spec.SQL]{Name: "shop", Config: spec.SQL{URL: "postgres://u:hush@nowhere/d"}})
	require.NoError(t, err)
	op := db.Operation("find", services.Once)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		require.Equal(t, "sql.DB(shop)", fmt.Sprintf(format, db))
		require.NotContains(t, fmt.Sprintf(format, op), "hush")
		require.NotContains(t, fmt.Sprintf(format, struct{ db *sql.DB }{db}), "hush")
	}
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(text, []byte("no database, but a text that is long enough to be one"), 0o600))
	for url, says := range map[string]string{
		"sqlite:" + filepath.Join(dir, "missing", "x.db"): "unable to open database file",
		"sqlite:" + text:                                  "not a database",
		"postgres://u:hush@127.0.0.1:1/d":                 "connection refused",
		"postgres://u:hush@127.0.0.1:1/d?sslmode=require": "connection refused",
		"postgres://u:hush@127.0.0.1:1,127.0.0.1:2/d":     "connection refused",
	} {
		db, err := sql.New(services.Setup[spec.SQL]{Name: "shop", Config: spec.SQL{URL: url}})
		require.NoError(t, err)
		err = db.Start(t.Context())
		require.ErrorContains(t, err, says)
		require.ErrorContains(t, err, `service "shop": open `)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "hush")
		_, holds := errors.AsType[*pgconn.ConnectError](err)
		require.False(t, holds, "that has the password in its configuration")
		require.ErrorIs(t, db.Health(), sql.ErrStopped)
	}
}

// A database in memory lasts from Start to Stop, also beyond a connection's usual life.
func TestMemory(t *testing.T) {
	db, err := sql.New(services.Setup[spec.SQL]{Name: "shop", Config: spec.SQL{
		URL: "sqlite::memory:", Connections: 8, Lifetime: policy.Duration(time.Nanosecond),
	}})
	require.NoError(t, err)
	op := db.Operation("any", services.Once)
	require.NoError(t, db.Start(t.Context()))
	_, err = sql.Exec(t.Context(), op, `create table t (n integer)`)
	require.NoError(t, err)
	for range 3 {
		_, err = sql.Exec(t.Context(), op, `insert into t values ($1)`, 1)
		require.NoError(t, err)
	}
	n, err := sql.One[int](t.Context(), op, `select count(*) from t`)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, db.Stop(t.Context()))
	require.NoError(t, db.Start(t.Context()))
	_, err = sql.One[int](t.Context(), op, `select count(*) from t`)
	require.ErrorContains(t, err, "no such table")
	require.NoError(t, db.Stop(t.Context()))
}
