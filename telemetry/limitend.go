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
