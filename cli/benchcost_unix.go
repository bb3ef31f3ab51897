//go:build unix

package cli

import (
	"runtime"
	"syscall"
	"time"
)

// processCost is the processor time that this process took so far, and the most memory
// that it had. ok is false where the system does not say.
func processCost() (cpu time.Duration, peak int64, ok bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, false
	}
	peak = int64(u.Maxrss) //nolint:unconvert // it is 32 bits wide on some
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
		peak *= 1024 // it is counted in KiB everywhere else
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), peak, true
}
