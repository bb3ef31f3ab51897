package ergontest

import (
	"fmt"
	"io"
	"time"
)

// patience is how long nothing may happen in a bubble before something is said.
const patience = 10 * time.Second

// watch looks at a run from outside of its bubble, whose clock stands still while
// anything in it waits for what is outside. Nothing can end such a run but the time of
// the test binary, and then its reader should know why. It says so once.
func watch(w io.Writer, task string, events *Recorder) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for last := -1; ; {
			select {
			case <-stopped:
				return
			case <-tick.C:
			}
			now := len(events.All())
			if now == last {
				_, _ = fmt.Fprintf(w, "ergontest: task %q: nothing has happened for %v. It may wait for what no bubble of testing/synctest has: "+
					"a connection, open or idle, or a channel or lock of outside. Give the task a fake, or run it with Settings.RealTime.\n", task, patience)
				return
			}
			last = now
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}
