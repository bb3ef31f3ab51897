package cli

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// stopper turns signals into the end of a context, and a second one into a
// forced end.
type stopper struct {
	ctx    context.Context // ends with the first signal
	cancel context.CancelFunc
	force  chan struct{} // closed by the second
	quit   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	forced syscall.Signal
}

func newStopper(ctx context.Context, signals <-chan os.Signal) *stopper {
	s := &stopper{force: make(chan struct{}), quit: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.wg.Go(func() {
		for n := 1; ; n++ {
			select {
			case sig := <-signals:
				if n == 1 {
					s.cancel()
					continue
				}
				s.mu.Lock()
				s.forced, _ = sig.(syscall.Signal)
				s.mu.Unlock()
				close(s.force)
				return
			case <-s.quit:
				return
			}
		}
	})
	return s
}

// forcedBy is the signal that forced the end, 0 if none did.
func (s *stopper) forcedBy() syscall.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forced
}

// afterForce calls f d after the end is forced. The returned function takes that back,
// and is called once.
func (s *stopper) afterForce(d time.Duration, f func()) (cancel func()) {
	quit := make(chan struct{})
	go func() {
		select {
		case <-s.force:
		case <-quit:
			return
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-quit:
		}
	}()
	return func() { close(quit) }
}

func (s *stopper) close() {
	close(s.quit)
	s.wg.Wait()
	s.cancel()
}
