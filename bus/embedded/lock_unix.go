//go:build unix && !solaris && !aix

package embedded

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock uses flock: it belongs to the open file, so it excludes a second
// Start in this process too, and the system drops it when a process dies.
func tryLock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errHeld
		}
		return err
	}
}

func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
