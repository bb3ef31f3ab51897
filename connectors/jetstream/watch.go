package jetstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// stallAfter is for how long a consumer with pending messages may deliver none,
// though some are asked for, before that is a stall.
const stallAfter = 20 * time.Second

// stall is what the watch remembers between two looks.
type stall struct {
	came  uint64    // deliveries at the last look that found some
	since time.Time // of the first look that found no more
}

// watch looks after the consumer: a server can stop delivering without any error
// on any side (nats-server#4112, #5679), and whoever holds a consumer that was
// changed, paused or deleted learns of it nowhere else.
func (s *Source) watch() {
	t := time.NewTicker(s.cfg.CheckEvery)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			err := s.look()
			if s.ctx.Err() == nil {
				s.health.Store(&err)
			}
		}
	}
}

// look finds out how the consumer is. It makes a missing one anew, as Fetch does:
// an engine whose slots are all taken does not fetch.
func (s *Source) look() error {
	info, _, err := s.cfg.Bus.EnsureConsumer(s.ctx, s.cfg.Consumer)
	if err != nil {
		return fmt.Errorf("consumer %q: %w", s, err)
	}
	if was := s.lease.ackWait(); was != info.AckWait {
		s.log.Warn("the consumer's ack_wait was changed: leases are renewed by the new one", "consumer", s.String(), "was", was, "is", info.AckWait)
		s.lease.wait.Store(int64(info.AckWait))
	}
	lag := ergon.Lag{Pending: int64(info.Pending), InFlight: int64(info.AckPending), At: time.Now()}
	if s.parked != nil {
		if lag.Parked, err = s.cfg.Parking.Count(s.ctx, s.parked.lane); err != nil {
			return err
		}
		due, err := s.cfg.Bus.ConsumerInfo(s.ctx, s.parked.consumer.Stream, s.parked.consumer.Durable)
		if err != nil {
			return err
		}
		lag.Pending += int64(due.Pending)
		lag.InFlight += int64(due.AckPending)
	}
	s.lag.Store(&lag)
	return s.stalled(info)
}

// stalled says why nothing is delivered, if something should be.
func (s *Source) stalled(info bus.Info) error {
	came, asked := s.puller.Progress()
	now := time.Now()
	if came != s.stall.came || info.Pending == 0 || asked == 0 {
		s.stall = stall{came: came, since: now}
		return nil
	}
	if info.Paused {
		return fmt.Errorf("consumer %q is paused with %d messages pending: resume it (nats consumer resume %s %s)",
			s, info.Pending, info.Stream, info.Durable)
	}
	quiet := now.Sub(s.stall.since)
	if quiet < max(stallAfter, s.cfg.CheckEvery) {
		return nil
	}
	if info.MaxAckPending > 0 && info.AckPending >= info.MaxAckPending {
		return fmt.Errorf("consumer %q has delivered nothing for %s: %d messages are unacknowledged, which is its max_ack_pending: whoever holds them has to settle them, or raise the limit",
			s, quiet.Round(time.Second), info.AckPending)
	}
	return fmt.Errorf("consumer %q has delivered nothing for %s, with %d messages pending and %d asked for: the server is stuck; let another lead it (nats consumer cluster step-down %s %s)",
		s, quiet.Round(time.Second), info.Pending, asked, info.Stream, info.Durable)
}

// Health says what keeps the source from fetching: the connection, a consumer that
// is gone, changed so that it can't be worked with, paused, or stuck. What it says
// of the consumer is as old as SourceConfig.CheckEvery.
func (s *Source) Health() error {
	switch st := s.cfg.Bus.Status(); {
	case st.Closed:
		return fmt.Errorf("the connection to NATS is closed for good: %w", errors.Join(bus.ErrClosed, st.LastError))
	case !st.Connected:
		return fmt.Errorf("not connected to NATS, trying again: %w", errors.Join(bus.ErrDisconnected, st.LastError))
	}
	if err := s.health.Load(); err != nil {
		return *err
	}
	return nil
}

// Lag is what the consumer had at the last look, and what waits for its time.
func (s *Source) Lag() ergon.Lag {
	if lag := s.lag.Load(); lag != nil {
		return *lag
	}
	return ergon.Lag{}
}
