package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/bus"
)

// crashesFrom is the delivery from which an earlier start may be recorded.
const crashesFrom = 3

// lookTime bounds looking up the starts of one fetch.
const lookTime = 2 * time.Second

var _ ergon.StartRecorder = (*delivery)(nil)

// countCrashes looks up, for what was delivered often, how many of its starts
// never ended. Where it can't be found out, it is as if there were none: what is
// begun is recorded again.
func (s *Source) countCrashes(deliveries []ergon.Delivery) {
	if s.cfg.Starts == nil {
		return
	}
	var ctx context.Context
	for _, one := range deliveries {
		d := one.(*delivery)
		if d.delivered < crashesFrom {
			continue
		}
		if ctx == nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(s.ctx, lookTime)
			defer cancel()
		}
		n, err := s.cfg.Starts.Count(ctx, d.startID())
		if err != nil {
			s.log.Warn("can't look up whether a transaction crashed before", "transaction", d.raw.ID(), "error", err)
			return
		}
		d.crashes = n
	}
}

// startID names the stored message and its consumer. The time is in it because a
// stream that is made anew counts from 1 again.
func (d *delivery) startID() string {
	return d.s.String() + " " + d.stored + " " + strconv.FormatInt(d.timestamp, 36)
}

// RecordStart notes that the message is begun with.
func (d *delivery) RecordStart(ctx context.Context) error {
	if d.s.cfg.Starts == nil {
		return nil
	}
	// What ended before has only been handed to the connection. Were its acknowledgement
	// lost with a process that this one ends, it would come back with a start that never
	// ended, and be taken for what crashed.
	if err := d.s.cfg.Bus.ConsumeConn().FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush acknowledgements before a start is recorded: %w", err)
	}
	start, err := d.s.cfg.Starts.Record(ctx, d.startID())
	if err == nil {
		d.start = &start
	}
	return err
}

// ForgetStart takes that back.
func (d *delivery) ForgetStart() {
	if d.start == nil {
		return
	}
	start := *d.start
	d.start = nil
	d.s.goes(func() { d.s.forget(start) }) // a source that is closed has released everything
}

func (s *Source) forget(start bus.Start) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), lookTime)
	defer cancel()
	if err := s.cfg.Starts.Forget(ctx, start); err != nil {
		s.log.Warn("can't take a recorded start back: it will count as a crash", "error", err)
	}
}
