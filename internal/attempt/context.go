// Package attempt holds the context of one attempt: a deadline, a way to cancel
// it and the attempt's facts, in one allocation.
//
// Most attempts end long before their deadline and never ask for Done. A
// context.WithTimeoutCause pays for a timer and four allocations all the same,
// so here both are made when they are first needed.
package attempt

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Context is a context.Context for one attempt. It is safe for concurrent use.
// Whoever makes it calls Cancel when the attempt is over, which frees what was
// made on demand.
type Context struct {
	parent   context.Context
	own      Values
	deadline time.Time
	expired  error // the cause once the deadline has passed
	// inherited says that the deadline is the parent's.
	inherited bool

	mu   sync.Mutex           // orders making against Cancel
	made atomic.Pointer[made] // nil until Done, or an end, asked for it
}

// made is the real context, on demand.
type made struct {
	context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of its timer, nil without one
}

var _ context.Context = (*Context)(nil)

// Values are an attempt's own: what [context.Context] Value asks first, nil for a key
// that they don't know. They may be asked at any time, from any goroutine.
type Values interface{ Value(key any) any }

// New returns a context that ends with parent, at the deadline (with expired as
// its cause) or by Cancel. A zero deadline is none of its own; a parent's
// earlier one rules. own has the attempt's values, nil leaves the parent's.
func New(parent context.Context, deadline time.Time, expired error, own Values) *Context {
	c := &Context{}
	c.Init(parent, deadline, expired, own)
	return c
}

// Init is New for a Context that is part of a larger struct. It is called once,
// before any other method.
func (c *Context) Init(parent context.Context, deadline time.Time, expired error, own Values) {
	if d, ok := parent.Deadline(); ok && (deadline.IsZero() || d.Before(deadline)) {
		// The parent ends it, with the parent's cause: a timer of our own for the
		// same moment might be first, with none.
		deadline, expired, c.inherited = d, nil, true
	}
	c.parent, c.own, c.deadline, c.expired = parent, own, deadline, expired
}

// Deadline returns the attempt's deadline, which is visible before any timer
// runs: drivers that look at it see it.
func (c *Context) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done makes the timer.
func (c *Context) Done() <-chan struct{} { return c.get().Done() }

// Err is right also before Done was asked for: a deadline that has passed, or a
// parent that ended, makes the real context here.
func (c *Context) Err() error {
	if m := c.made.Load(); m != nil {
		return m.Err()
	}
	if c.parent.Err() == nil && (c.deadline.IsZero() || time.Now().Before(c.deadline)) {
		return nil
	}
	return c.get().Err()
}

// Value answers for the attempt's own. Every other key goes to the real
// context once there is one: a child context finds its cancelling parent that
// way, and costs no goroutine.
func (c *Context) Value(key any) any {
	if c.own != nil {
		if v := c.own.Value(key); v != nil {
			return v
		}
	}
	if m := c.made.Load(); m != nil {
		return m.Value(key)
	}
	return c.parent.Value(key)
}

// Cancel ends the attempt with a cause. A later Cancel changes nothing.
func (c *Context) Cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.made.Load()
	if m == nil {
		// Nobody waits on it, but somebody may still hold it: it must read as
		// ended. A cancelled context without a timer does.
		ctx, cancel := context.WithCancelCause(c.parent)
		cancel(cause)
		c.made.Store(&made{Context: ctx, cancel: cancel})
		return
	}
	m.cancel(cause)
	if m.stop != nil {
		m.stop()
	}
}

// Finish ends the attempt where nobody holds on to the context: it frees a
// timer that was made and makes nothing otherwise. Code that kept the context
// beyond its attempt sees it end at the deadline or with the parent.
func (c *Context) Finish() {
	if c.made.Load() != nil {
		c.Cancel(context.Canceled)
	}
}

// Expired reports whether the deadline has passed at now.
func (c *Context) Expired(now time.Time) bool {
	return !c.deadline.IsZero() && !now.Before(c.deadline)
}

func (c *Context) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.made.Load()
	if m == nil {
		m = &made{}
		m.Context, m.cancel = context.WithCancelCause(c.parent)
		if !c.deadline.IsZero() && !c.inherited {
			m.Context, m.stop = context.WithDeadlineCause(m.Context, c.deadline, c.expired)
		}
		c.made.Store(m)
	}
	return m
}
