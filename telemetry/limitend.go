package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// ended forgets the windows that are over by now, or all of them if it is zero, and
// writes a line for each in which something was suppressed. Nothing is written under the
// lock: what writes may log.
func (s *limiter) ended(now time.Time) error {
	if next := s.next.Load(); !now.IsZero() && (next == 0 || now.UnixNano() < next) {
		return nil
	}
	var over []*failures
	s.mu.Lock()
	var next int64
	if now.IsZero() && s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for key, f := range s.alike {
		if ends := f.began.Add(s.Window); !now.IsZero() && now.Before(ends) {
			if next == 0 || ends.UnixNano() < next {
				next = ends.UnixNano()
			}
			continue
		}
		if delete(s.alike, key); key.alone() {
			s.messages--
		}
		if f.suppressed > 0 {
			over = append(over, f)
		}
	}
	s.next.Store(next)
	s.mu.Unlock()
	var errs []error
	for _, f := range over {
		f.last.Time = time.Now()
		f.last.AddAttrs(slog.Int("suppressed", f.suppressed))
		errs = append(errs, f.handler.Handle(context.Background(), f.last))
	}
	return errors.Join(errs...)
}

// wake has what is suppressed told after a while, though no record comes. It is called
// under the lock.
func (s *limiter) wake(after time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(after, s.woken)
	}
}

// woken tells of the windows that are over, and waits for the next one in which
// something was suppressed.
func (s *limiter) woken() {
	now := time.Now()
	s.mu.Lock()
	s.timer = nil
	s.mu.Unlock()
	_ = s.ended(now) // there is no record whose logger could hear of it
	s.mu.Lock()
	defer s.mu.Unlock()
	var soonest time.Duration
	for _, f := range s.alike {
		if left := f.began.Add(s.Window).Sub(now); f.suppressed > 0 && (soonest == 0 || left < soonest) {
			soonest = max(left, time.Millisecond)
		}
	}
	if soonest > 0 {
		s.wake(soonest)
	}
}
