//go:build !windows && (!unix || solaris || aix)

package embedded

import (
	"errors"
	"io/fs"
	"os"
)

// Without a lock of the system's, a second file stands for it. It stays when a
// process is killed: then it has to be removed by hand.
func tryLock(f *os.File) error {
	held, err := os.OpenFile(f.Name()+".held", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if errors.Is(err, fs.ErrExist) {
		return errHeld
	}
	if err != nil {
		return err
	}
	return held.Close()
}

func unlock(f *os.File) { _ = os.Remove(f.Name() + ".held") }
