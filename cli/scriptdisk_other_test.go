//go:build !linux

package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestFullDisk(t *testing.T) {
	t.Skip("no full disk to try on: mount namespaces are Linux's")
}

func diskCommand(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("disk: mount namespaces are Linux's")
}

// unprivileged becomes another program. Whom permissions don't bind can't try what they do.
func unprivileged() {
	if os.Geteuid() == 0 {
		fmt.Fprintln(os.Stderr, "unprivileged: run the tests as another user than root")
		os.Exit(98)
	}
	path, err := exec.LookPath(os.Args[1])
	if err == nil {
		err = syscall.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "unprivileged:", err)
	os.Exit(98)
}
