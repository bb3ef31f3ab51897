// Package sql is a database as a service: PostgreSQL by pgx, or SQLite in this process,
// behind database/sql. Every call goes through the seam of package services, so it has
// a policy, a span, metrics, and an error with a category.
//
// A service that stands on it names its operations once, and asks by them:
//
//	type Customers struct{ find, move *sql.Operation }
//
//	func New(db *sql.DB) *Customers {
//		return &Customers{
//			find: db.Operation("customer", services.Idempotent),
//			move: db.Operation("move", services.Idempotent),
//		}
//	}
//
//	func (c *Customers) Find(ctx context.Context, id int) (Customer, error) {
//		return sql.One[Customer](ctx, c.find, `select id, name from customers where id = $1`, id)
//	}
//
//	func (c *Customers) Move(ctx context.Context, from, to, pence int) error {
//		return sql.InTx(ctx, c.move, func(ctx context.Context, tx *sql.Tx) error {
//			if _, err := sql.Exec(ctx, tx, `update accounts set pence = pence - $1 where id = $2`, pence, from); err != nil {
//				return err
//			}
//			_, err := sql.Exec(ctx, tx, `update accounts set pence = pence + $1 where id = $2`, pence, to)
//			return err
//		})
//	}
//
// Values are arguments, never parts of the query's text: the text is what is prepared and
// kept. Both databases take $1, $2 for their places.
//
// # Time
//
// An attempt has the policy's retry.timeout, from its turn on: waiting for a connection, the
// statement or the whole transaction, reading the rows. When it is over PostgreSQL is asked
// to cancel the statement, and the connection is given up; SQLite is interrupted, also
// where it waits for a lock. The server is told no statement_timeout, for a pooler may
// refuse it: `?statement_timeout=10s` in the URL sets one, for the case that the request to
// cancel can't reach the server.
//
// # Failures
//
// What the data cannot do, a constraint or a value out of range, is BUSINESS. A statement
// that is wrong, a table or a right that is missing, is SYSTEM: it is not the transaction's
// fault, and is well after a migration. So are lost connections, deadlocks and locked
// files. What took too long is TIMEOUT. See classify in errors.go, which holds the reasons.
//
// # PostgreSQL
//
// The URL is pgx's: parameters that pgx doesn't know are settings of the session
// (search_path, default_transaction_isolation). What it leaves open, libpq's variables
// (PGHOST, PGSSLMODE, PGPASSFILE and so on) fill in. sslmode is prefer by default, which
// also does without TLS: over a network that others share, write ?sslmode=verify-full.
// Statements are prepared once per connection; behind a pooler that can't bear that, write
// ?default_query_exec_mode=exec. A connection that nobody used for a second is asked for a
// sign of life before it is used; one that broke since fails the call.
//
// # SQLite
//
// What follows sqlite: is the file's path as it is: it has no parameters, so that ?mode=ro
// would be part of the name. A file that is not there is made, empty. One that is moved or
// replaced while it is in use is not noticed: stop first.
//
// A file is opened with a write-ahead log, foreign keys on, and transactions that take the
// write lock when they begin (so that they never fail half-way for it). There is one
// writer at a time; others wait for as long as an attempt may take. `sqlite::memory:`
// has one connection, and is gone with Stop: within a transaction, ask the transaction
// alone.
package sql
