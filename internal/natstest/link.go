package natstest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// link carries TCP connections to one address, as long as it may.
type link struct {
	listener net.Listener
	to       string
	beside   sync.WaitGroup

	mu     sync.Mutex
	open   chan struct{} // closed while bytes may pass
	broken bool          // no connection may stand
	ended  bool
	conns  map[net.Conn]struct{}
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	l := &link{listener: listen(t), to: to, open: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(l.open)
	l.beside.Go(l.accept)
	t.Cleanup(l.end)
	return l
}

func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		if !l.add(near) {
			continue
		}
		l.beside.Go(func() { l.join(near) })
	}
}

// join connects near with the other side.
func (l *link) join(near net.Conn) {
	defer l.remove(near)
	l.wait() // a lost network does not answer a call either
	far, err := net.DialTimeout("tcp", l.to, 5*time.Second)
	if err != nil || !l.add(far) {
		return
	}
	defer l.remove(far)
	back := make(chan struct{})
	l.beside.Go(func() {
		defer close(back)
		l.pump(near, far)
	})
	l.pump(far, near)
	<-back
}

// pump carries one direction until either side ends, then ends both.
func (l *link) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.wait()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when bytes may pass.
func (l *link) wait() {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	<-open
}

func (l *link) add(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken || l.ended {
		c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *link) remove(c net.Conn) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	l.drop()
}

func (l *link) drop() {
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.open:
		l.open = make(chan struct{})
	default:
	}
}

func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = false
	l.pass()
}

func (l *link) pass() {
	select {
	case <-l.open:
	default:
		close(l.open)
	}
}

func (l *link) end() {
	l.listener.Close()
	l.mu.Lock()
	l.ended = true
	l.pass()
	l.drop()
	l.mu.Unlock()
	l.beside.Wait()
}
