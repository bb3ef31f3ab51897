//go:build !unix

package cli

import "time"

// processCost is not known here.
func processCost() (cpu time.Duration, peak int64, ok bool) { return 0, 0, false }
