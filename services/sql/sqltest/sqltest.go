// Package sqltest is a database for tests: SQLite in a file of the test's own, behind the
// real seam of services/sql, with failures and delays as the test wants them.
//
//	db := sqltest.Open(t, `create table customers (id integer primary key, name text)`)
//	shop := shop.New(db.DB)
//	db.Fail("sql.customer", 1, ergon.System("the connection was lost"))
//
// It says nothing of how PostgreSQL takes a query: a test of that needs one.
package sqltest

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

// DB is a database that was started, and is stopped when the test ends. Its methods may be
// called from many goroutines at once.
type DB struct {
	*sql.DB

	mu     sync.Mutex
	faults map[string]*fault
}

// fault is what is wrong with an operation.
type fault struct {
	delay         time.Duration
	before, after int // attempts that still fail
	errBefore     error
	errAfter      error
}

// Open is OpenAs of a service named sql with the default policy.
func Open(t testing.TB, schema ...string) *DB {
	t.Helper()
	return OpenAs(t, services.Setup[spec.SQL]{Name: "sql"}, schema...)
}

// OpenAs opens a new database and runs the statements of schema in it. Without a URL in
// s.Config it is a file in a temporary directory. What fails, fails the test at once.
func OpenAs(t testing.TB, s services.Setup[spec.SQL], schema ...string) *DB {
	t.Helper()
	if s.Config.URL == "" {
		s.Config.URL = "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	}
	db, err := sql.New(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context()) // that ends before the cleanups
	if err := db.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := db.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	op := db.Operation("sqltest", services.Once)
	for _, statement := range schema {
		if _, err := sql.Exec(ctx, op, statement); err != nil {
			t.Fatalf("%v: in %s", err, statement)
		}
	}
	d := &DB{DB: db, faults: map[string]*fault{}}
	db.Intercept(d.around)
	return d
}

// Fail has the next attempts of an operation (SERVICE.OPERATION) fail with err, and nothing
// is asked of the database. What kind of failure it is, err says as the database's own
// would: an error that says nothing is SYSTEM. Negative times are for ever, 0 ends it.
func (d *DB) Fail(operation string, times int, err error) {
	d.with(operation, func(f *fault) { f.before, f.errBefore = times, err })
}

// Lose is Fail after the database has done what it was asked: an answer that was lost.
// Without an err it is sql.ErrUnknown.
func (d *DB) Lose(operation string, times int, err error) {
	if err == nil {
		err = sql.ErrUnknown
	}
	d.with(operation, func(f *fault) { f.after, f.errAfter = times, err })
}

// Delay has each attempt of an operation wait first, within its time. 0 ends it.
func (d *DB) Delay(operation string, by time.Duration) {
	d.with(operation, func(f *fault) { f.delay = by })
}

func (d *DB) with(operation string, change func(*fault)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.faults[operation]
	if f == nil {
		f = &fault{}
		d.faults[operation] = f
	}
	change(f)
}

// around makes an attempt as its faults say.
func (d *DB) around(ctx context.Context, operation string, do func(context.Context) error) error {
	var delay time.Duration
	var before, after error
	d.with(operation, func(f *fault) {
		delay = f.delay
		switch {
		case next(&f.before):
			before = f.errBefore
		case next(&f.after):
			after = f.errAfter
		}
	})
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if before != nil {
		return before
	}
	if err := do(ctx); err != nil {
		return err
	}
	return after
}

func next(left *int) bool {
	if *left == 0 {
		return false
	}
	if *left > 0 {
		*left--
	}
	return true
}
