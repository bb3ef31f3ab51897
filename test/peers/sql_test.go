package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/internal/sqlsuite"
	"github.com/ergon-framework/ergon/policy"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// PostgreSQL does all that the embedded database does, and what only a server can be put
// through.
func TestPostgreSQL(t *testing.T) {
	p := startPostgres(t)
	where := p.where()
	t.Run("suite", func(t *testing.T) { sqlsuite.Run(t, "postgresql", where) })
	t.Run("wrong password", func(t *testing.T) { wrongPassword(t, p) })
	t.Run("statement is cancelled on the server", func(t *testing.T) { cancelled(t, p, where) })
	t.Run("statement_timeout", func(t *testing.T) { statementTimeout(t, where) })
	t.Run("deadlock", func(t *testing.T) { deadlock(t, where) })
	t.Run("serialization failure", func(t *testing.T) { serialization(t, where) })
	t.Run("commit without an answer", func(t *testing.T) { lostCommit(t, p, where) })
	t.Run("restart", func(t *testing.T) { restart(t, p, where) })
}

func wrongPassword(t *testing.T, p *postgres) {
	at := p.at(p.port)
	at.Password = "a wrong secret"
	db, err := sql.New(sqlsuite.Setup(at))
	require.NoError(t, err)
	err = db.Start(t.Context())
	require.ErrorContains(t, err, `password authentication failed for user "ergon"`)
	require.ErrorContains(t, err, `service "shop": open database "postgres" at 127.0.0.1:`)
	refused, ok := errors.AsType[*pgconn.PgError](err)
	require.True(t, ok, "the server's own word is found")
	require.Equal(t, "28P01", refused.Code)
	_, holds := errors.AsType[*pgconn.ConnectError](err)
	require.False(t, holds, "that has the password in its configuration")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Error("it failed", "err", err, "db", db)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), fmt.Sprintf("%v %+v %#v", db, db, db), log.String()} {
		require.NotContains(t, text, "secret")
	}
	require.ErrorIs(t, db.Health(), sql.ErrStopped)
}

// running is how many endless statements the server works at.
const running = `select count(*) from pg_stat_activity where state = 'active' and query like 'with recursive c%'`

func cancelled(t *testing.T, p *postgres, where sqlsuite.Where) {
	db := sqlsuite.Fresh(t, where, func(s *services.Setup[spec.SQL]) {
		s.Policy.Retry.Timeout, s.Policy.Retry.MaxAttempts = policy.Duration(300*time.Millisecond), 1
	})
	_, err := sql.One[int](t.Context(), db.Operation("endless", services.Idempotent),
		`with recursive c(i) as (select 1 union all select i + 1 from c) select count(*) from c`)
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	look := db.Operation("look", services.Idempotent)
	eventually(t, func() error {
		n, err := sql.One[int](t.Context(), look, running)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d statements still run", n)
		}
		return err
	})
}

// A timeout of the server's own is one too.
func statementTimeout(t *testing.T, where sqlsuite.Where) {
	at := where(t)
	at.URL += "&statement_timeout=100ms"
	db := sqlsuite.Start(t, sqlsuite.Setup(at))
	_, err := sql.Exec(t.Context(), db.Operation("sleep", services.Once), `select pg_sleep(60)`)
	require.ErrorIs(t, err, ergon.CategoryTimeout)
	require.ErrorContains(t, err, "57014")
}

// Two transactions that wait for each other: the server ends one, and it is run anew.
func deadlock(t *testing.T, where sqlsuite.Where) {
	db := sqlsuite.Fresh(t, where, nil)
	move, once := db.Operation("move", services.Idempotent), db.Operation("once", services.Once)
	_, err := sql.Exec(t.Context(), once, `insert into items values (1, 'a', 0), (2, 'b', 0)`)
	require.NoError(t, err)
	var runs atomic.Int64
	var both sync.WaitGroup
	both.Add(2)
	errs := make(chan error, 2)
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		go func() {
			first := true
			errs <- sql.InTx(t.Context(), move, func(ctx context.Context, tx *sql.Tx) error {
				runs.Add(1)
				order := slices.Clone(order)
				if !first { // as the other one has it, or they would meet again
					slices.Reverse(order)
				}
				for i, id := range order {
					if _, err := sql.Exec(ctx, tx, `update items set price = price + 1 where id = $1`, id); err != nil {
						return err
					}
					if i == 0 && first {
						first = false
						both.Done()
						both.Wait() // each holds one of them
					}
				}
				return nil
			})
		}()
	}
	require.NoError(t, <-errs)
	require.NoError(t, <-errs)
	require.EqualValues(t, 3, runs.Load(), "one of them was run anew")
	sum, err := sql.One[int](t.Context(), once, `select sum(price) from items`)
	require.NoError(t, err)
	require.Equal(t, 4, sum)
}

// Two serializable transactions that each read what the other writes.
func serialization(t *testing.T, where sqlsuite.Where) {
	db := sqlsuite.Fresh(t, where, nil)
	move, once := db.Operation("move", services.Idempotent), db.Operation("once", services.Once)
	_, err := sql.Exec(t.Context(), once, `insert into items values (1, 'a', 0), (2, 'b', 0)`)
	require.NoError(t, err)
	for _, op := range []*sql.Operation{once, move} {
		runs := 0
		err = sql.InTx(t.Context(), op, func(ctx context.Context, tx *sql.Tx) error {
			runs++
			if _, err := sql.Exec(ctx, tx, `set transaction isolation level serializable`); err != nil {
				return err
			}
			n, err := sql.One[int](ctx, tx, `select price from items where id = 1`)
			if err != nil {
				return err
			}
			if runs == 1 { // another one, meanwhile
				_, err := sql.Exec(ctx, once, `update items set price = price + 10 where id = 1`)
				require.NoError(t, err)
			}
			_, err = sql.Exec(ctx, tx, `update items set price = $1 where id = 1`, n+1)
			return err
		})
		if op == once {
			var failed *pgconn.PgError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, "40001", failed.Code)
			require.ErrorIs(t, err, ergon.CategorySystem)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 2, runs)
	}
	n, err := sql.One[int](t.Context(), once, `select price from items where id = 1`)
	require.NoError(t, err)
	require.Equal(t, 21, n, "nothing was lost")
}

// proxy passes bytes on, until it has passed on a commit: then it cuts both ends off.
type proxy struct {
	net.Listener
	to string
}

func (p *proxy) serve() {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		go p.pass(client)
	}
}

func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	defer server.Close()
	buf := make([]byte, 4096)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], []byte("commit")) {
			client.Close()
			_, _ = server.Write(buf[:n])
			_, _ = io.Copy(io.Discard, server) // the server's answer, and its end
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func lostCommit(t *testing.T, p *postgres, where sqlsuite.Where) {
	db := sqlsuite.Fresh(t, where, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go (&proxy{l, net.JoinHostPort("127.0.0.1", p.port)}).serve()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	at := p.at(port)
	at.URL += "?sslmode=disable&search_path=" + schemaOf(t, db)
	far := sqlsuite.Start(t, sqlsuite.Setup(at))
	err = sql.InTx(t.Context(), far.Operation("move", services.Once), func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, `insert into items values (1, 'a')`)
		return err
	})
	require.ErrorIs(t, err, sql.ErrUnknown)
	require.ErrorIs(t, err, ergon.CategorySystem)
	find := db.Operation("find", services.Idempotent)
	eventually(t, func() error {
		_, err := sql.One[int](t.Context(), find, `select id from items`) // it is committed all the same
		return err
	})
}

func schemaOf(t *testing.T, db *sql.DB) string {
	t.Helper()
	name, err := sql.One[string](t.Context(), db.Operation("schema", services.Once), `select current_schema()`)
	require.NoError(t, err)
	return name
}

// A server that ends and comes back, under a service that goes on.
func restart(t *testing.T, p *postgres, where sqlsuite.Where) {
	db := sqlsuite.Fresh(t, where, nil)
	add, find, hold := db.Operation("add", services.Once), db.Operation("find", services.Idempotent), db.Operation("hold", services.Once)
	_, err := sql.Exec(t.Context(), add, `insert into items values (1, 'a')`)
	require.NoError(t, err)

	err = sql.InTx(t.Context(), hold, func(ctx context.Context, tx *sql.Tx) error {
		_, err := sql.Exec(ctx, tx, `insert into items values (2, 'b')`)
		require.NoError(t, err)
		p.kill(t)
		_, err = sql.Exec(ctx, tx, `insert into items values (3, 'c')`)
		return err
	})
	require.ErrorIs(t, err, ergon.CategorySystem)
	require.NotErrorIs(t, err, sql.ErrUnknown, "no commit was sent")
	_, err = sql.One[int](t.Context(), find, `select count(*) from items`)
	require.ErrorIs(t, err, ergon.CategorySystem)
	require.ErrorContains(t, db.Health(), "no connection to database")

	p.run(t)
	n, err := sql.One[int](t.Context(), find, `select count(*) from items`)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, db.Health())

	// A connection that was closed while it was idle is no failure of the next call, also of
	// one that is made once: it is asked for a sign of life first.
	p.interrupt(t)
	p.run(t)
	for id := range 4 {
		_, err = sql.Exec(t.Context(), add, `insert into items (id, name) values ($1, $2)`, 10+id, fmt.Sprint("n", id))
		require.NoError(t, err)
	}
}
