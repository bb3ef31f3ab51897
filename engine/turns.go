package engine

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

const (
	// turnsPerCore is how many turns there are at a time for each core: one that runs, and
	// some whose fetches and confirmations are on their way.
	turnsPerCore = 4
	// turnMost is how long a turn is waited for. What only computes is over long before; what is
	// not waits for something else than the cores, and would make others wait for that.
	turnMost = 100 * time.Millisecond
)

// Turns lets the engines of one process work off their backlogs in turns. It is made
// once, and given to each of them: see [Config]. All methods are the engines'.
//
// A hundred tasks with a backlog each hold a hundred batches, and go through them all at
// once: by the time that a transaction is processed or confirmed it is in no cache any
// more, the collector marks a hundred batches each time, and each of them is small. In
// turns a few engines hold a large batch each while the others wait in line.
//
// A turn is a fetch, and all that it brought until that is settled; 4 for each core are
// open at a time, and who waits is served in order. Only an engine whose attempts just
// compute, and whose source says that more waits behind what it fetched
// ([ergon.Backlogger]), needs one: what waits for a service is not held up, nor what has
// little to do. A turn that lasts for 100 ms counts no longer: an engine whose outputs are
// not confirmed keeps no other waiting. And no engine waits for itself: what one alone may
// hold, its own window says.
type Turns struct {
	mu    sync.Mutex
	most  int
	first *turn // of the open ones, the oldest
	last  *turn
	open  int
	line  []waiting   // the longest first
	timer *time.Timer // looks whether the oldest has lasted too long; nil until somebody waits
	armed bool
}

// holder is an engine: how many open turns it has, under Turns.mu.
type holder struct{ open int }

// waiting is a holder that is in line.
type waiting struct {
	by    *holder
	given chan *turn // has room for one
}

// turn is one that an engine has. Its methods may be called on nil: the engine needed none.
type turn struct {
	of           *Turns
	by           *holder
	before, next *turn
	began        time.Time
	left         atomic.Int64 // flights that have not ended, and one for the loop that fetches them
	over         bool         // it counts no longer; under of.mu
}

// NewTurns returns Turns for the engines of this process, by its GOMAXPROCS. Nothing has
// to be closed.
func NewTurns() *Turns { return &Turns{most: turnsPerCore * runtime.GOMAXPROCS(0)} }

// take waits for a turn, and tells whether it had to. It returns nil when ctx ends.
func (t *Turns) take(ctx context.Context, by *holder) (got *turn, waited bool) {
	t.mu.Lock()
	if len(t.line) == 0 && t.may(by) {
		got = t.begin(by)
		t.mu.Unlock()
		return got, false
	}
	c := make(chan *turn, 1)
	t.line = append(t.line, waiting{by, c})
	t.watch()
	t.mu.Unlock()
	select {
	case got = <-c:
		return got, true
	case <-ctx.Done():
	}
	t.mu.Lock()
	for i := range t.line {
		if t.line[i].given == c {
			t.line = append(t.line[:i], t.line[i+1:]...)
			break
		}
	}
	t.serve() // who stood behind may have another bound
	t.mu.Unlock()
	select {
	case got = <-c: // given before it could leave the line
		got.done()
	default:
	}
	return nil, true
}

// may reports whether the others leave room for a turn. The caller holds the lock, as of
// all that follow but done.
func (t *Turns) may(by *holder) bool { return t.open-by.open < t.most }

// begin opens a turn.
func (t *Turns) begin(by *holder) *turn {
	n := &turn{of: t, by: by, before: t.last, began: time.Now()}
	n.left.Store(1)
	if t.last == nil {
		t.first = n
	} else {
		t.last.next = n
	}
	t.last = n
	t.open++
	by.open++
	return n
}

// end closes a turn, and gives its place to who has waited longest.
func (t *Turns) end(n *turn) {
	if n.over {
		return
	}
	n.over = true
	if n.before == nil {
		t.first = n.next
	} else {
		n.before.next = n.next
	}
	if n.next == nil {
		t.last = n.before
	} else {
		n.next.before = n.before
	}
	n.before, n.next = nil, nil
	t.open--
	n.by.open--
	t.serve()
}

// serve gives who has waited longest what there is room for.
func (t *Turns) serve() {
	for len(t.line) > 0 && t.may(t.line[0].by) {
		t.line[0].given <- t.begin(t.line[0].by)
		t.line = t.line[1:]
	}
}

// watch looks after the oldest turn, if somebody waits for its end.
func (t *Turns) watch() {
	if t.armed || len(t.line) == 0 {
		return
	}
	t.armed = true
	d := time.Until(t.first.began.Add(turnMost))
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.look)
		return
	}
	t.timer.Reset(d)
}

func (t *Turns) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = false
	for now := time.Now(); t.first != nil && len(t.line) > 0 && now.Sub(t.first.began) >= turnMost; {
		t.end(t.first)
	}
	t.watch()
}

// add counts a flight that the turn's fetch brought.
func (n *turn) add() {
	if n != nil {
		n.left.Add(1)
	}
}

// done counts one that ended, or the fetch that did.
func (n *turn) done() {
	if n == nil || n.left.Add(-1) > 0 {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	n.of.end(n)
}

// turn waits for one, if the engine needs any, and tells whether it had to.
func (e *Engine) turn(ctx context.Context) (got *turn, waited bool) {
	if e.turns != nil && e.backlog != nil && e.backlog.Backlog() {
		if _, few, _ := e.runq.usual(); few {
			got, waited = e.turns.take(ctx, &e.turnsHeld)
		}
	}
	e.crowded.Store(waited)
	return got, waited
}

func backloggerOf(s ergon.Source) ergon.Backlogger {
	b, _ := s.(ergon.Backlogger)
	return b
}
