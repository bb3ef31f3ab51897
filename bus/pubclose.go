package bus

import (
	"context"
	"fmt"
)

// Flush waits until every message whose Publish began before is confirmed or
// has failed, and its done has returned. Others may publish meanwhile.
func (p *Publisher) Flush(ctx context.Context) error {
	if p.shut.Load() { // Close ends them all
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("flush publisher: %w", ctx.Err())
		}
	}
	return p.flush(ctx)
}

func (p *Publisher) flush(ctx context.Context) error {
	select {
	case <-p.room.flush():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush publisher: %d messages are not confirmed: %w", p.room.used(), ctx.Err())
	}
}

// Close refuses new messages with [ErrClosed], waits for the outstanding ones
// until ctx ends, and then fails the rest with an error that is ErrClosed and
// [ErrUnknown]. It returns ctx's error in that case. Close again waits for the
// first and returns nil.
func (p *Publisher) Close(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		p.shut.Store(true)
		p.room.close()
		err = p.flush(ctx)
		if err != nil {
			err = fmt.Errorf("close publisher: %w", err)
			p.confirmer.each(func(s *slot) (bool, error) { return s.of == p, s.abandoned() })
		}
		p.confirmer.leave(p)
		close(p.done)
	})
	<-p.done
	return err
}
