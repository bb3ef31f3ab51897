package sql

import (
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ergon-framework/ergon"
)

// What errors of this package match, by errors.Is.
var (
	// ErrNotFound is One's when there is no row. BUSINESS.
	ErrNotFound = errors.New("there is no such row")
	// ErrTooMany is One's when there is more than one row, and All's when there are more
	// than MaxRows. BUSINESS: they are as many the next time.
	ErrTooMany = errors.New("there are too many rows")
	// ErrUnknown is a transaction's whose commit got no answer: it may be committed or
	// not. SYSTEM, or TIMEOUT where the attempt's time ended meanwhile. An Idempotent
	// operation is run anew by the seam; of any other the engine tries the whole attempt
	// again, so it needs a key by which a second time is seen.
	ErrUnknown = errors.New("the commit got no answer, so its outcome is unknown")
	// ErrStopped is a call's before Start or after Stop. SYSTEM.
	ErrStopped = errors.New("the database is not open: it was not started, or was stopped")
)

var errNone = errors.New("no connection came free in time")

// classify is the one place where a database's error gets its category. "" leaves it to
// the seam, which makes TIMEOUT of what ended with the attempt's time, and SYSTEM of the
// rest: lost connections, refused ones, values that don't fit a Go type.
func classify(err error) ergon.Category {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooMany) {
		return ergon.CategoryBusiness
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return ofPostgres(e.Code)
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return ofSQLite(e.Code())
	}
	return ""
}

// ofPostgres goes by SQLSTATE (PostgreSQL's manual, appendix A).
func ofPostgres(state string) ergon.Category {
	switch state {
	case "57014", // the statement was cancelled: statement_timeout, if it was not our context
		"55P03",          // lock_timeout
		"25P03", "25P04": // idle_in_transaction_session_timeout, transaction_timeout
		return ergon.CategoryTimeout
	case "40002", // a constraint that was checked at the commit
		"P0001", "P0002", "P0003": // a function's or trigger's RAISE, its own rule; no row, or many, for INTO STRICT
		return ergon.CategoryBusiness
	}
	if len(state) < 2 {
		return ergon.CategorySystem
	}
	switch state[:2] {
	case "22", // a value that can't be: out of range, no date, division by zero
		"23", // constraints
		"44": // a view's WITH CHECK OPTION
		// It is the data: the same row fails the same way the next time.
		return ergon.CategoryBusiness
	default:
		// 40001 and 40P01 undid the transaction for another's sake: it is well when run anew.
		// 08, 53, 57P, 58, XX: the server's own trouble.
		// 42, 3D, 3F, 0A, 28: a statement, a table, a right, a password is wrong. No retry
		// heals it, but a migration does, or a grant: a dead letter for each transaction that
		// met it would be for nothing that is wrong with the transaction.
		// 25P02 follows an error that a closure passed over.
		return ergon.CategorySystem
	}
}

// ofSQLite goes by the primary result code.
func ofSQLite(code int) ergon.Category {
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, // also a trigger's RAISE
		sqlite3.SQLITE_MISMATCH, // no integer for a rowid
		sqlite3.SQLITE_TOOBIG:   // a value longer than there can be
		return ergon.CategoryBusiness
	case sqlite3.SQLITE_INTERRUPT:
		return ergon.CategoryTimeout
	default:
		// BUSY, LOCKED: another one writes. ERROR: the statement or the schema, as 42 above.
		// The rest is the file and its disk.
		return ergon.CategorySystem
	}
}

// state is a code that tells what failed, for spans: it holds no data.
func state(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return strconv.Itoa(e.Code())
	}
	return ""
}

// refused reports that a commit's error is the database's word that nothing is committed.
func refused(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// The session was ended, which can come after the commit; 40003 says just that.
		return e.SeverityUnlocalized == "ERROR" && e.Code != "40003"
	}
	if _, ok := errors.AsType[*sqlite.Error](err); ok {
		return true
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}
