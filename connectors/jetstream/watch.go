package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// stallAfter is for how long a consumer with pending messages may deliver none,
// though some are asked for, before that is a stall, where it has no other name.
const stallAfter = 20 * time.Second

// stall is what the watch remembers between two looks.
type stall struct {
	came  uint64    // deliveries at the last look that found some
	since time.Time // of the first look that found no more; zero before the first look
}

// watch looks after the consumer: a server can stop delivering without any error
// on any side (nats-server#4112, #5679), and whoever holds a consumer that was
// changed, paused or deleted learns of it nowhere else.
func (s *Source) watch() {
	t := time.NewTicker(s.cfg.CheckEvery)
	defer t.Stop()
	for {
		err := s.look()
		if s.ctx.Err() == nil {
			s.health.Store(&err)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// look finds out how the consumers are. It makes a missing one anew, as Fetch does:
// an engine whose slots are all taken does not fetch.
func (s *Source) look() error {
	info, err := s.lookAt(fresh, s.puller, s.cfg.Consumer, s.streamAgain)
	if err != nil {
		return s.unknown(err)
	}
	lag := ergon.Lag{Pending: int64(info.Pending), InFlight: int64(info.AckPending), At: time.Now()}
	stalled := s.stalled(&s.stall[fresh], s.puller, info)
	if p := s.parked; p != nil {
		info, err := s.lookAt(due, p.puller, p.consumer, s.parkingAgain)
		if err != nil {
			return errors.Join(stalled, s.unknown(err))
		}
		if lag.Parked, err = s.cfg.Parking.Count(s.ctx, p.lane); err != nil {
			return errors.Join(stalled, s.unknown(err))
		}
		lag.Pending += int64(info.Pending)
		lag.InFlight += int64(info.AckPending)
		stalled = errors.Join(stalled, s.stalled(&s.stall[due], p.puller, info))
	}
	s.lag.Store(&lag)
	s.looks.Add(1)
	return stalled
}

// lookAt makes sure of one consumer. stream makes its stream anew, where we may.
func (s *Source) lookAt(which int, p *bus.Puller, c bus.Consumer, stream func(context.Context, error) error) (bus.Info, error) {
	info, change, err := s.cfg.Bus.CheckConsumer(s.ctx, c)
	if errors.Is(err, bus.ErrStreamGone) || errors.Is(err, bus.ErrConsumerGone) {
		if err := letGo(s.ctx); err != nil {
			return bus.Info{}, err
		}
		if err := stream(s.ctx, err); err != nil {
			return bus.Info{}, err
		}
		info, change, err = s.cfg.Bus.EnsureConsumer(s.ctx, c)
	}
	if info.AckWait > 0 { // also of one that can't be worked with: it may go on delivering
		s.follow(which, p, info)
	}
	if err == nil {
		s.tell(change)
	}
	return info, err
}

// unknown says why a look failed. Without an answer nothing is known of the
// consumer, and "context deadline exceeded" helps nobody.
func (s *Source) unknown(err error) error {
	why := ""
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		why = "the server does not answer: the connection is cut without being closed (then it is replaced within half a minute), the server hangs, or the stream has no leader (nats stream info " + s.cfg.Consumer.Stream + "): "
	case errors.Is(err, nats.ErrNoResponders):
		why = "JetStream does not answer: its server starts or shuts down, or has it disabled: "
	}
	return fmt.Errorf("consumer %q: %s%w", s, why, err)
}

// stalled says why nothing is delivered, if something should be.
func (s *Source) stalled(last *stall, p *bus.Puller, info bus.Info) error {
	at, now := p.Progress(), time.Now()
	wanted := at.Asked > 0 || at.Refused != ""
	if at.Came != last.came || info.Pending == 0 || !wanted || last.since.IsZero() {
		*last = stall{came: at.Came, since: now}
		return nil
	}
	name := info.Stream + "/" + info.Durable
	if info.Paused {
		return fmt.Errorf("consumer %q is paused with %d messages pending: resume it (nats consumer resume %s %s)",
			name, info.Pending, info.Stream, info.Durable)
	}
	quiet := now.Sub(last.since)
	if quiet < s.cfg.stallAfter {
		return nil
	}
	quiet = quiet.Round(time.Second)
	switch {
	case info.MaxAckPending > 0 && info.AckPending >= info.MaxAckPending:
		return fmt.Errorf("consumer %q has delivered nothing for %s: %d messages are unacknowledged, which is its max_ack_pending: whoever holds them has to settle them, or raise the limit",
			name, quiet, info.AckPending)
	case at.Refused != "":
		return fmt.Errorf("consumer %q has delivered nothing for %s, with %d messages pending: the server refuses to be asked: %s",
			name, quiet, info.Pending, at.Refused)
	}
	return fmt.Errorf("consumer %q has delivered nothing for %s, with %d messages pending and %d asked for: the server is stuck; let another lead it (nats consumer cluster step-down %s %s)",
		name, quiet, info.Pending, at.Asked, info.Stream, info.Durable)
}

// Health says what keeps the source from fetching: the connection, a consumer that
// is gone, changed so that it can't be worked with, paused, or stuck. What it says
// of the consumer is as old as SourceConfig.CheckEvery.
func (s *Source) Health() error {
	switch st := s.cfg.Bus.Status(); {
	case st.Closed:
		return fmt.Errorf("the connection to NATS is closed for good, this process has to be started again: %w", with(bus.ErrClosed, st.LastError))
	case !st.Connected:
		return fmt.Errorf("trying to reach NATS again: %w", with(bus.ErrDisconnected, st.LastError))
	}
	if err := s.health.Load(); err != nil {
		return *err
	}
	return nil
}

// with is an error and its cause, if there is one, in one line.
func with(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Lag is what the consumer had at the last look, and what waits for its time.
func (s *Source) Lag() ergon.Lag {
	if lag := s.lag.Load(); lag != nil {
		return *lag
	}
	return ergon.Lag{}
}
