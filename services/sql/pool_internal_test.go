package sql

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
)

// fake is a driver whose connections are refused, stale, or hang when they are closed.
type fake struct {
	connects, stale int
	refused         error
	hang            chan struct{}
}

func (f *fake) Connect(context.Context) (driver.Conn, error) {
	f.connects++
	if f.refused != nil {
		return nil, f.refused
	}
	return f, nil
}
func (f *fake) Driver() driver.Driver { return nil }
func (f *fake) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("no statements")
}
func (f *fake) Begin() (driver.Tx, error) { return nil, errors.New("no transactions") }
func (f *fake) Close() error {
	if f.hang != nil {
		<-f.hang
	}
	return nil
}

func (f *fake) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	if f.stale > 0 {
		f.stale--
		return nil, driver.ErrBadConn
	}
	return driver.RowsAffected(1), nil
}

func pooled(f *fake) *pool {
	return open(target{connector: func() driver.Connector { return f }}, size{connections: 2, idle: 2})
}

func exec(ctx context.Context, p *pool) error {
	release, err := p.begin(ctx, func(c *stdsql.Conn) error {
		_, err := c.ExecContext(ctx, "x")
		return err
	})
	release()
	return err
}

// What the driver says was not sent goes over another connection, three at the most.
func TestStaleConnections(t *testing.T) {
	f := &fake{stale: 2}
	p := pooled(f)
	require.NoError(t, exec(t.Context(), p))
	require.Equal(t, 3, f.connects)
	f.stale = 99
	require.ErrorIs(t, exec(t.Context(), p), driver.ErrBadConn)
	require.Equal(t, 99-3, f.stale)
	require.NoError(t, p.close(t.Context()))
}

// A connection that can't be closed keeps nobody.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hang: make(chan struct{})}
		db := &DB{name: "shop", to: target{where: "nowhere", connector: func() driver.Connector { return f }}, size: size{1, 1, 0}, meter: noop.Meter{}}
		require.NoError(t, db.Start(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := db.Stop(ctx)
		require.ErrorContains(t, err, `service "shop": close nowhere: its connections were left behind`)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(f.hang)
	})
}

// A failure to connect is known for a while, and not for ever.
func TestHealthForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{refused: errors.New("refused")}
		p := pooled(f)
		require.NoError(t, p.health())
		require.ErrorIs(t, exec(t.Context(), p), f.refused)
		time.Sleep(knownFor)
		require.EqualError(t, p.health(), "refused (30s ago)")
		time.Sleep(time.Nanosecond)
		require.NoError(t, p.health())
		require.Error(t, exec(t.Context(), p))
		gone, cancel := context.WithCancel(t.Context())
		f.refused = nil
		require.NoError(t, exec(gone, p))
		require.NoError(t, p.health())
		cancel()
		require.Error(t, exec(gone, p))
		require.NoError(t, p.health(), "a caller that gave up says nothing")
		require.NoError(t, p.close(t.Context()))
	})
}
