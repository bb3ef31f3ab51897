package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// inNamespace says that this process may mount what nobody else sees.
const inNamespace = "ERGON_TEST_MOUNTS"

// A full disk is a small file system of its own in memory. It is mounted in a mount
// namespace, by root or by a user who may make a user namespace, so it is gone with the
// tests, however they end.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		runScripts(t, "testdata/fulldisk")
		return
	}
	args := []string{"-test.run=^TestFullDisk$", "-test.v"}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no full disk to try on: this user may not make a mount namespace (%v): "+
			"run it as root, or allow user namespaces (kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", err)
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestFullDisk/", "a script ran")
	t.Logf("%s", out)
}

// diskCommand mounts a file system of that many MiB, or gives it another size:
// disk DIR MIB.
func diskCommand(ts *testscript.TestScript, _ bool, args []string) {
	if os.Getenv(inNamespace) == "" {
		ts.Fatalf("disk: this process may not mount: the script belongs to testdata/fulldisk")
	}
	dir, size := ts.MkAbs(args[0]), fmt.Sprintf("size=%sm,mode=0755", args[1])
	if _, err := os.Stat(dir); err == nil {
		ts.Check(unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, size))
		return
	}
	ts.Check(os.Mkdir(dir, 0o755))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, size))
	ts.Defer(func() { ts.Check(unix.Unmount(dir, unix.MNT_DETACH)) })
}

// unprivileged becomes a program whom the permissions of files bind, also where it is
// root: unprivileged program args…
func unprivileged() {
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // the set is a thread's
		for _, capability := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
			// What is not in the bounding set, a program that root starts does not get.
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
				fmt.Fprintln(os.Stderr, "unprivileged: drop a capability:", err)
				os.Exit(98)
			}
		}
	}
	path, err := exec.LookPath(os.Args[1])
	if err == nil {
		err = syscall.Exec(path, os.Args[1:], os.Environ())
	}
	fmt.Fprintln(os.Stderr, "unprivileged:", err)
	os.Exit(98)
}
