package sql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"

	"github.com/ergon-framework/ergon/services/spec"
)

// target is where a database is.
type target struct {
	system    string // as OpenTelemetry names it
	namespace string // the database's name, "" of SQLite
	where     string // for errors: no credentials
	alone     bool   // it lives in its one connection
	// connector is a function, for a password is in it, and nothing prints a closure.
	connector func() driver.Connector
}

var errForm = errors.New("url has the form postgres://user@host:5432/database or sqlite:PATH (the value is not shown, for a password may be in it)")

// read makes a target of what was configured. name is the service's, and wait bounds what
// has no context: connections that are opened ahead, and locks.
func read(c spec.SQL, name string, wait time.Duration) (target, error) {
	scheme, rest, _ := strings.Cut(c.URL, ":")
	switch scheme {
	case "sqlite":
		if c.Password != "" {
			return target{}, errors.New("password: SQLite has none")
		}
		return readSQLite(rest, wait)
	case "postgres", "postgresql":
		return readPostgres(c, name, wait)
	default:
		return target{}, errForm
	}
}

func readSQLite(path string, wait time.Duration) (target, error) {
	if path == "" {
		return target{}, errForm
	}
	t := target{system: "sqlite", where: "sqlite:" + path, alone: path == ":memory:"}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds()), "journal_mode(WAL)", "foreign_keys(1)",
	}}
	// The path is escaped: nothing in it is a parameter.
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + query.Encode()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return target{}, fmt.Errorf("%s: %w", t.where, err)
	}
	t.connector = func() driver.Connector { return connector }
	return t, nil
}

func readPostgres(c spec.SQL, name string, wait time.Duration) (target, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Opaque != "" {
		return target{}, errForm // url.Parse's error shows all of it
	}
	// pgx never sees the password until it is put into what it has read: its errors quote
	// what they can't read.
	query, password := u.Query(), c.Password
	given, inUser := u.User.Password()
	if inUser {
		u.User = url.User(u.User.Username())
	} else if query.Has("password") {
		given = query.Get("password")
	}
	query.Del("password")
	u.RawQuery = query.Encode()
	if given != "" && password != "" {
		return target{}, errors.New("there is a password, and another one in url: leave one out")
	}
	if password == "" {
		password = given
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return target{}, fmt.Errorf("url: %s", reason(err))
	}
	if password != "" {
		config.Password = password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = wait
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = name
	}
	return target{
		system: "postgresql", namespace: config.Database,
		where:     fmt.Sprintf("database %q at %s:%d as user %q", config.Database, config.Host, config.Port, config.User),
		connector: func() driver.Connector { return discreet{stdlib.GetConnector(*config)} },
	}, nil
}

// discreet keeps pgx's configuration, which has the password, out of errors: whoever dumps
// one with all that it holds would see it.
type discreet struct{ driver.Connector }

func (d discreet) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := d.Connector.Connect(ctx)
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return nil, &refusal{text: e.Error(), cause: e.Unwrap()}
	}
	return c, err
}

// refusal says why there is no connection.
type refusal struct {
	text  string
	cause error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.cause }

// reason is what pgx says of a URL without the URL, in which there may be secrets of
// other kinds (sslpassword).
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		return text[i+len("`: "):]
	}
	return "it can't be read"
}
