package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/internal/sqlsuite"
	"github.com/ergon-framework/ergon/services"
	"github.com/ergon-framework/ergon/services/spec"
	"github.com/ergon-framework/ergon/services/sql"
)

const pgPassword = "p%40ss:w/rd #1" // with all that a URL would read otherwise

// postgres is a server of the test's own.
type postgres struct {
	*process
	owner          *testing.T // a run ends with it, and not with the part that began it
	bin, dir, port string
	as             *syscall.SysProcAttr // nil is whoever runs the test
}

// postgresBin is where PostgreSQL's programs are: Debian has those of a server beside the
// PATH.
func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	require.NoError(t, err)
	if len(found) > 0 {
		version := func(path string) int { n, _ := strconv.Atoi(strings.Split(path, "/")[4]); return n }
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		t.Fatal("there is no PostgreSQL: `make peers` installs it (apt-get install postgresql)")
	}
	return filepath.Dir(path)
}

// unprivileged is who runs the server, which refuses to be root's.
func unprivileged(t *testing.T) (as *syscall.SysProcAttr, uid, gid int) {
	t.Helper()
	if os.Getuid() != 0 {
		return nil, os.Getuid(), os.Getgid()
	}
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err = strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err = strconv.Atoi(u.Gid)
	require.NoError(t, err)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, uid, gid //nolint:gosec // small
}

// startPostgres makes a cluster whose user is ergon, by password alone, and runs it.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{owner: t, bin: postgresBin(t)}
	_, port, err := net.SplitHostPort(freePort(t))
	require.NoError(t, err)
	p.port = port
	// t.TempDir is below a directory that only its owner may enter.
	p.dir, err = os.MkdirTemp("", "postgres")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(p.dir)) })
	as, uid, gid := unprivileged(t)
	p.as = as
	secret := filepath.Join(p.dir, "password")
	require.NoError(t, os.WriteFile(secret, []byte(pgPassword+"\n"), 0o600))
	require.NoError(t, os.Chown(p.dir, uid, gid))
	require.NoError(t, os.Chown(secret, uid, gid))
	initdb := exec.CommandContext(t.Context(), filepath.Join(p.bin, "initdb"), "-D", filepath.Join(p.dir, "data"), "-U", "ergon",
		"--auth=scram-sha-256", "--pwfile="+secret, "--no-sync", "--encoding=UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = p.as, p.dir
	out, err := initdb.CombinedOutput()
	require.NoError(t, err, "%s\n%s", initdb, out)
	p.run(t)
	return p
}

// run runs the server until it answers.
func (p *postgres) run(t *testing.T) {
	t.Helper()
	p.process = startAs(p.owner, p.as, p.dir, nil, filepath.Join(p.bin, "postgres"), "-D", filepath.Join(p.dir, "data"), "-p", p.port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "deadlock_timeout=50ms")
	p.listening(t, net.JoinHostPort("127.0.0.1", p.port))
	eventually(t, func() error { // it listens before it lets anybody in
		db, err := sql.New(services.Setup[spec.SQL]{Name: "ready", Config: p.at(p.port)})
		require.NoError(t, err)
		if err := db.Start(t.Context()); err != nil {
			return err
		}
		return db.Stop(t.Context())
	})
}

// kill ends it as a crash would: no connection is told.
func (p *postgres) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGQUIT)
}

// interrupt ends it in good order, its connections too.
func (p *postgres) interrupt(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGINT)
}

func (p *postgres) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s))
	<-p.done
}

// at is the database of the server behind a port.
func (p *postgres) at(port string) spec.SQL {
	return spec.SQL{
		URL:      fmt.Sprintf("postgres://ergon@127.0.0.1:%s/postgres", port),
		Password: pgPassword, Connections: 8, Idle: 4,
	}
}

// where gives each test a schema of its own.
func (p *postgres) where() sqlsuite.Where {
	n := 0
	return func(t *testing.T) spec.SQL {
		n++
		name := fmt.Sprintf("test%d", n)
		p.do(t, "create schema "+name)
		at := p.at(p.port)
		at.URL += "?search_path=" + name
		return at
	}
}

// do runs a statement as nobody's test.
func (p *postgres) do(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.New(services.Setup[spec.SQL]{Name: "do", Config: p.at(p.port)})
	require.NoError(t, err)
	require.NoError(t, db.Start(t.Context()))
	_, err = sql.Exec(t.Context(), db.Operation("do", services.Once), statement)
	require.NoError(t, err)
	require.NoError(t, db.Stop(context.WithoutCancel(t.Context())))
}
