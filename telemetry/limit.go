package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ergon-framework/ergon"
)

// LimitOptions say how many failures that are alike are written.
type LimitOptions struct {
	// Most is how many are, in each window. Default 5.
	Most int
	// Window begins with the first one. Default 10 s.
	Window time.Duration
}

// What bounds the memory of a Limiter.
const (
	maxFailures = 256 // told apart by all that makes them alike
	maxMessages = 64  // by their message alone, once there are so many
)

// Limiter is a handler that thins out failures that repeat; see Limit.
type Limiter struct {
	inner  slog.Handler
	shared *limiter
	// of WithAttrs
	task, phase, err string
}

// Limit returns a handler that passes on to inner what it is given, but of failures
// that are alike only the first few of each window. A failure is a record of level WARN
// or above with an attribute called error; two are alike if message, task, phase and the
// error's text are, and digits do not count. Task and phase are the record's, or those
// of the attempt that it was logged in.
//
// The first of the next window says in an attribute how many were suppressed. If none
// comes, a line is written for them when the window has ended, or Flush is called. What is added is added where the logger stands, in its group.
func Limit(inner slog.Handler, o LimitOptions) *Limiter {
	if o.Most <= 0 {
		o.Most = 5
	}
	if o.Window <= 0 {
		o.Window = 10 * time.Second
	}
	return &Limiter{inner: inner, shared: &limiter{LimitOptions: o, alike: map[failureKey]*failures{}}}
}

// Enabled is inner's.
func (l *Limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.inner.Enabled(ctx, level)
}

// Handle passes a record on, or counts that it did not.
func (l *Limiter) Handle(ctx context.Context, r slog.Record) error {
	now := time.Now()
	f, ok := l.failure(ctx, r)
	if !ok {
		return errors.Join(l.shared.ended(now), l.inner.Handle(ctx, r))
	}
	suppressed, pass := l.shared.count(f.key, now, func(of *failures) { of.remember(l.inner, r, f) })
	errs := l.shared.ended(now)
	if !pass {
		return errs
	}
	if suppressed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", suppressed))
	}
	return errors.Join(errs, l.inner.Handle(ctx, r))
}

// Flush writes what was suppressed and not told yet. It is for the end of a program.
func (l *Limiter) Flush() error { return l.shared.ended(time.Time{}) }

// WithAttrs passes on, and keeps what failures are told apart by.
func (l *Limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *l
	n.inner = l.inner.WithAttrs(attrs)
	for _, a := range attrs {
		n.note(a)
	}
	return &n
}

// WithGroup passes on.
func (l *Limiter) WithGroup(name string) slog.Handler {
	n := *l
	n.inner = l.inner.WithGroup(name)
	return &n
}

func (l *Limiter) note(a slog.Attr) {
	switch a.Key {
	case "error":
		if v := a.Value.Resolve().Any(); v != nil {
			l.err = fmt.Sprint(v) // which stands a nil pointer, and leaves out stacks
		}
	case "task":
		l.task = a.Value.Resolve().String()
	case "phase":
		l.phase = a.Value.Resolve().String()
	}
}

// failure is what is known of a record that is one.
type failure struct {
	err    string
	key    failureKey
	within []slog.Attr // the task and the phase that its context has
}

// failure reports whether a record is one.
func (l *Limiter) failure(ctx context.Context, r slog.Record) (f failure, ok bool) {
	if r.Level < slog.LevelWarn {
		return f, false
	}
	of := *l
	r.Attrs(func(a slog.Attr) bool {
		of.note(a)
		return true
	})
	if of.err == "" {
		return f, false
	}
	if x := ergon.ExecutionOf(ctx); of.task == "" && x.Task != "" {
		of.task, of.phase = x.Task, string(x.Phase)
		f.within = []slog.Attr{slog.String("task", of.task), slog.String("phase", of.phase)}
	}
	f.err, f.key = of.err, failureKey{r.Message, of.task, of.phase, fold(of.err)}
	return f, true
}

// maxFolded is how much of an error counts.
const maxFolded = 512

// fold replaces runs of digits.
func fold(s string) string {
	s = s[:min(len(s), maxFolded)]
	if !strings.ContainsAny(s, "0123456789") {
		return strings.Clone(s) // it is kept, and what it is part of is not
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		switch digit := s[i] >= '0' && s[i] <= '9'; {
		case !digit:
			b = append(b, s[i])
		case len(b) == 0 || b[len(b)-1] != '#':
			b = append(b, '#')
		}
	}
	return string(b)
}

type failureKey struct{ msg, task, phase, err string }

// alone reports whether it is a message alone: no failure is without an error.
func (k failureKey) alone() bool { return k.err == "" }

// failures are those of one window that are alike.
type failures struct {
	began             time.Time
	count, suppressed int
	// of the last one that was suppressed
	handler slog.Handler
	last    slog.Record
}

// remember keeps what the line about the suppressed ones is made of: no more of the
// record than tells which they are.
func (f *failures) remember(inner slog.Handler, r slog.Record, one failure) {
	f.handler = inner
	f.last = slog.NewRecord(time.Time{}, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			a = slog.String("error", one.err)
		}
		if a.Key == "error" || a.Key == "task" || a.Key == "phase" {
			f.last.AddAttrs(a)
		}
		return true
	})
	f.last.AddAttrs(one.within...)
}

// limiter is what the handlers of one Limit share.
type limiter struct {
	LimitOptions
	next atomic.Int64 // when the first window ends, in Unix nanoseconds; 0 for none

	mu       sync.Mutex
	timer    *time.Timer // runs while something is suppressed and not told
	alike    map[failureKey]*failures
	messages int // of them by their message alone
}

// count adds a failure to its window, and calls remember for one that is suppressed.
func (s *limiter) count(key failureKey, now time.Time, remember func(*failures)) (suppressed int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.alike[key]
	if f == nil {
		f = s.place(key)
	}
	if f.began.IsZero() || now.Sub(f.began) >= s.Window {
		suppressed = f.suppressed
		*f = failures{began: now}
		if ends := now.Add(s.Window).UnixNano(); s.next.Load() == 0 || ends < s.next.Load() {
			s.next.Store(ends)
		}
	}
	if f.count++; f.count <= s.Most {
		return suppressed, true
	}
	f.suppressed++
	remember(f)
	s.wake(f.began.Add(s.Window).Sub(now))
	return 0, false
}

// place makes room for what was not seen in this window. Beyond a number those of one
// message share it, and beyond another number of messages all that is left.
func (s *limiter) place(key failureKey) *failures {
	if len(s.alike)-s.messages >= maxFailures {
		key = failureKey{msg: key.msg}
		if f := s.alike[key]; f != nil {
			return f
		}
		if s.messages >= maxMessages {
			key.msg = ""
			if f := s.alike[key]; f != nil {
				return f
			}
		}
		s.messages++
	}
	f := &failures{}
	s.alike[key] = f
	return f
}
