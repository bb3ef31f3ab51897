package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// R082: an empty fetch ends a run only when nothing was held at the time: what is
// held may yet bring more.
func TestEmptyFetchWhileSomethingIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(consume(func(_ context.Context, tx ergon.Transaction[string]) (string, error) {
			time.Sleep(time.Second) // virtual
			return tx.Payload(), nil
		}))
		r.push("a")
		source := &hasty{Source: r.queue.Source(), later: func() { r.push("b") }}
		r.source = source
		require.EqualValues(t, 2, r.run(t).Succeeded)
	})
}

// hasty is a source that answers an empty fetch at once, and gets another message
// while its first one is held.
type hasty struct {
	ergon.Source
	later func()
	began time.Time
	more  bool
}

func (s *hasty) Fetch(ctx context.Context, max int) ([]ergon.Delivery, error) {
	switch {
	case s.began.IsZero():
		s.began = time.Now()
	case time.Since(s.began) < 900*time.Millisecond:
		return nil, nil // the first is held
	case !s.more:
		s.more = true
		s.later()
	}
	return s.Source.Fetch(ctx, max)
}
