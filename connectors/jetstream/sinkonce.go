package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// SendOnce is Send, and tells done of a transaction that the stream has under tx's ID
// already: with a function that looks it up, for whoever has to know whether it is the
// same. Otherwise, and with an error, that function is nil. It returns false where the
// stream no longer holds it, and may be called from any goroutine but done's.
//
// What the publisher itself sent twice, and is gone from the stream by now, is tx: its
// own first copy is as good as certainly what was stored.
func (s *Sink) SendOnce(ctx context.Context, tx ergon.Raw, done func(stored func(context.Context) (ergon.Raw, bool, error), err error)) {
	if s.closed.Load() {
		done(nil, fmt.Errorf("publish to %q: %w", s.subject, ergon.ErrClosed))
		return
	}
	var room [manyFields]bus.Field
	s.pub.PublishFields(ctx, s.subject, appendFields(room[:0], tx), tx.Payload(), func(ack bus.PubAck, err error) {
		if err = s.confirmed(ack, err); err != nil {
			done(nil, err)
			return
		}
		if s.told != nil {
			s.told(tx, ack.Duplicate && !ack.Resent)
		}
		if !ack.Duplicate {
			done(nil, nil)
			return
		}
		stream, seq, resent := ack.Stream(), ack.Sequence, ack.Resent
		done(func(ctx context.Context) (ergon.Raw, bool, error) {
			found, err := At(ctx, s.pub.Bus(), stream, seq)
			switch {
			case errors.Is(err, bus.ErrNoMessage):
				return tx, resent, nil
			case err != nil:
				return ergon.Raw{}, false, err
			}
			return found.Raw, found.ID() == tx.ID(), nil
		}, nil)
	})
}
