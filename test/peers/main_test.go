package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// builds is where the programs are built.
var builds string

func TestMain(m *testing.M) {
	code, err := runIn(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runIn(m *testing.M) (code int, err error) {
	if builds, err = os.MkdirTemp("", "peers"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(builds)
	return m.Run(), nil
}

// built builds the programs when the first test asks for one: ergon as its module builds
// it, the second hop, and the collector. Tests of the HTTP connectors need none of them.
var built = sync.OnceValue(func() error {
	for _, args := range [][]string{
		{"build", "-C", "../..", "-o", builds + string(filepath.Separator), "./cmd/ergon"}, // with its own versions of everything
		{"build", "-o", builds + string(filepath.Separator), "./books", "./collector"},
	} {
		cmd := exec.Command("go", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return nil
})

// program is the path of one that is built.
func program(t *testing.T, name string) string {
	t.Helper()
	require.NoError(t, built())
	return filepath.Join(builds, name)
}

// installed is the path of a peer from the distribution. Without it there is nothing
// to test against, and a test that can't run has not passed.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name) // nginx is there, and on no user's PATH
	}
	if err != nil {
		t.Fatalf("%s is not on the PATH: `make peers` installs it (apt-get install prometheus curl wrk nginx-light)", name)
	}
	return path
}
