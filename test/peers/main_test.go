package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// built holds the programs: ergon as its module builds it, the second hop, and the
// collector.
var built string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if built, err = os.MkdirTemp("", "peers"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(built)
	for _, args := range [][]string{
		{"build", "-C", "../..", "-o", built + string(filepath.Separator), "./cmd/ergon"}, // with its own versions of everything
		{"build", "-o", built + string(filepath.Separator), "./books", "./collector"},
	} {
		cmd := exec.Command("go", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w\n%s", cmd, err, out)
		}
	}
	return m.Run(), nil
}

// program is the path of one that was built.
func program(name string) string { return filepath.Join(built, name) }

// installed is the path of a peer from the distribution. Without it there is nothing
// to test against, and a test that can't run has not passed.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not on the PATH: `make peers` installs it (apt-get install prometheus)", name)
	}
	return path
}
