package bus

import (
	"context"
	"fmt"
)

// Flush waits until every message whose Publish began before is confirmed or
// has failed, and its done has returned. Publishing waits meanwhile.
func (p *Publisher) Flush(ctx context.Context) error {
	if p.shut.Load() { // Close collects the slots, and keeps them
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("flush publisher: %w", ctx.Err())
		}
	}
	return p.collect(ctx, true)
}

// collect takes all slots, one by one as they become free, and gives them back
// if asked to. Only one may collect: two would each hold what the other needs.
func (p *Publisher) collect(ctx context.Context, back bool) error {
	select {
	case <-p.drain:
	case <-ctx.Done():
		return fmt.Errorf("flush publisher: %w", ctx.Err())
	}
	defer func() { p.drain <- struct{}{} }()
	held := make([]uint32, 0, len(p.slots))
	defer func() {
		if back || len(held) < len(p.slots) {
			for _, i := range held {
				p.free <- i
			}
		}
	}()
	for len(held) < len(p.slots) {
		select {
		case i := <-p.free:
			held = append(held, i)
		case <-ctx.Done():
			return fmt.Errorf("flush publisher: %d messages are not confirmed: %w", len(p.slots)-len(held), ctx.Err())
		}
	}
	return nil
}

// Close refuses new messages with [ErrClosed], waits for the outstanding ones
// until ctx ends, and then fails the rest with an error that is ErrClosed and
// [ErrUnknown]. It returns ctx's error in that case. Close again waits for the
// first and returns nil.
func (p *Publisher) Close(ctx context.Context) error {
	var err error
	p.once.Do(func() {
		p.shut.Store(true)
		close(p.closing)
		err = p.collect(ctx, false)
		if err != nil {
			err = fmt.Errorf("close publisher: %w", err)
			p.each(func(_ uint32, s *slot) (bool, error) { return true, s.abandoned() })
		}
		close(p.stop)
		<-p.swept
		p.bus.publish.unwatch(p)
		if uerr := p.sub.Unsubscribe(); uerr != nil && !p.bus.publish.nc.IsClosed() && err == nil {
			err = fmt.Errorf("close publisher: %w", uerr)
		}
		close(p.done)
	})
	<-p.done
	return err
}
