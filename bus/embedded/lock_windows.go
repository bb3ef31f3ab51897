package embedded

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// The locked byte lies far behind the text: a locked range cannot be read by
// others, and they have to read the address.
const lockedByte = 1 << 30

func tryLock(f *os.File) error {
	o := &windows.Overlapped{Offset: lockedByte}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, o)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errHeld
	}
	return err
}

func unlock(f *os.File) {
	o := &windows.Overlapped{Offset: lockedByte}
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, o)
}
