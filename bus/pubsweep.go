package bus

import "time"

// The shortest and the longest time between two looks of the sweeper.
const (
	sweepLeast = 5 * time.Millisecond
	sweepMost  = 100 * time.Millisecond
)

// every is how often the sweeper looks: a twentieth of the shortest timeout.
func (c *confirmer) every() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	every := sweepMost
	for p := range c.open {
		every = min(every, max(p.timeout/20, sweepLeast))
	}
	return every
}

// sweep ends what is over and sends what waits, until the Bus is closed.
func (c *confirmer) sweep() {
	defer close(c.swept)
	timer := time.NewTimer(sweepMost)
	defer timer.Stop()
	next := time.Now().Add(sweepMost)
	for {
		select {
		case <-c.stop:
			return
		case <-c.joined: // never later: Publishers may come and go all the time
			if at := time.Now().Add(c.every()); at.Before(next) {
				next = at
				timer.Reset(time.Until(at))
			}
			continue
		case <-c.kick:
		case <-timer.C:
		}
		every := c.every()
		next = time.Now().Add(every)
		timer.Reset(every)
		if c.slots.used() == 0 {
			continue
		}
		connected := c.bus.publish.nc.IsConnected()
		now := time.Now()
		c.each(func(s *slot) (bool, error) {
			if now.Before(s.deadline) {
				return false, nil
			}
			// A process that was stopped for a while, with its machine perhaps,
			// finds everything overdue, and the confirmations unread. The next
			// sweep comes after they were read.
			if !s.overdue {
				s.overdue = true
				return false, nil
			}
			return true, s.expired()
		})
		if connected {
			c.resendDue(now)
		}
	}
}

// each asks f about every used slot, under its lock, and ends those for which f
// says so.
func (c *confirmer) each(f func(s *slot) (bool, error)) {
	c.slots.each(func(i uint32, s *slot) {
		s.mu.Lock()
		var over bool
		var err error
		gen := s.gen
		if s.state != slotFree {
			over, err = f(s)
		}
		s.mu.Unlock()
		if over {
			c.finish(i, gen, PubAck{}, err)
		}
	})
}

func (c *confirmer) resendDue(now time.Time) {
	c.slots.each(func(i uint32, s *slot) {
		s.mu.Lock()
		if s.state != slotWaiting || now.Before(s.retryAt) {
			s.mu.Unlock()
			return
		}
		p := s.of
		out, fields, gen := s.resend(c, i)
		s.mu.Unlock()
		c.sent(i, gen, p.write(out, fields))
	})
}

// connLost decides about what was sent and not answered. A message that is just
// being handed to nats.go may have missed the connection altogether: it is
// decided about when that has returned.
func (c *confirmer) connLost() {
	c.each(func(s *slot) (bool, error) {
		if s.state != slotSent {
			return false, nil
		}
		if s.writing {
			s.lost = true
			return false, nil
		}
		err := s.interrupted()
		return err != nil, err
	})
}

func (c *confirmer) connBack() { signal(c.kick) }

func (c *confirmer) connClosed() {
	c.each(func(s *slot) (bool, error) { return true, s.abandoned() })
}

// connError hears of denied publishes: the server sends no reply to them.
func (c *confirmer) connError(err error) {
	subject, ok := deniedSubject(err)
	if !ok {
		return
	}
	c.each(func(s *slot) (bool, error) {
		if s.state != slotSent || s.msg.Subject != subject {
			return false, nil
		}
		return true, mayNotPublish(subject, err)
	})
}
